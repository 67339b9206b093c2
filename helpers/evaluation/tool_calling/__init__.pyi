from .measuring import content as content
from .measuring import evaluate as evaluate
from .measuring import versions as versions
from .settings import Settings as Settings
