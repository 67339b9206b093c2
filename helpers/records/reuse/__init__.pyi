from .settings import Settings as Settings
from .stages import evaluate as evaluate
from .stages import measure as measure
from .stages import sweep as sweep
