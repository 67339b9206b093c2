"""Score a served model on an lm-eval task: check the task, run lm-eval in a child process, read what it left.

The log-probabilities come from the server, the prompts, the scoring and the per-question log from lm-eval itself.
"""

from __future__ import annotations

from helpers.evaluation.results import read_results
from helpers.evaluation.run import build_command, evaluate, run
from helpers.evaluation.settings import Settings
from helpers.evaluation.tasks import Task, check_task

__all__ = ["Settings", "Task", "build_command", "check_task", "evaluate", "read_results", "run"]
