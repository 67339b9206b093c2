"""Nothing is measured twice: a stage takes an earlier result over where everything that makes it is the same."""

from helpers.earlier.settings import Settings
from helpers.earlier.stages import evaluate, sweep

__all__ = ["Settings", "evaluate", "sweep"]
