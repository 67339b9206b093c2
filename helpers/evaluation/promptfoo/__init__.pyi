from .measuring import evaluate as evaluate
from .settings import Settings as Settings
