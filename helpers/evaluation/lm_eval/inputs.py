"""What the process that runs a task reads."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from helpers.artifacts import Endpoint
from helpers.evaluation.lm_eval.settings import Settings
from helpers.evaluation.lm_eval.tasks import Task


def inputs(settings: Settings, endpoint: Endpoint, task: Task) -> Iterator[Path | str]:
    """Yield what the child reads: the task, its data, the tokenizer."""
    folders = [settings.include_path.resolve()] if settings.include_path else []
    folders += [Path(call["path"]) for call in task.calls.values() if Path(str(call.get("path", ""))).is_dir()]
    yield from folders
    inside = (*folders, Path(sys.prefix).resolve())
    yield from (path for path in task.content.files.values() if not any(path.is_relative_to(one) for one in inside))
    if endpoint.tokenizer:
        yield endpoint.tokenizer_folder()
    yield from filter(None, os.environ.get("NLTK_DATA", "").split(os.pathsep))
