"""Is this project ready for the pipelines? One line per thing that has to be there: ok, or what to do."""

from helpers.preflight.lines import Line, State
from helpers.preflight.project import Project
from helpers.preflight.running import CHECKS, run

__all__ = ["CHECKS", "Line", "Project", "State", "run"]
