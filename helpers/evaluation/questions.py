"""Where the questions of a use case's evaluations stand, before any of them is asked."""

from __future__ import annotations

from pathlib import Path

from helpers.datasets.stated import find_use_case
from helpers.datasets.use_case import LmEval, OwnData
from helpers.evaluation.lm_eval.settings import Settings
from helpers.evaluation.lm_eval.tasks import check_task


def question_files(use_case: str) -> dict[str, list[Path]]:
    """Return the files with the questions of each evaluation; none where only code or another tool knows them.

    Raises UnknownTask, NotMeasurable or InvalidDataset, as the stages that ask do.
    """
    found = find_use_case(use_case)
    files: dict[str, list[Path]] = {}
    for name, each in found.evaluations.items() if found else ():
        said = found.evaluation(name) if found else {}
        if isinstance(each, LmEval):
            sources = check_task(Settings(name=name, **said)).sources.values()
            files[name] = list(dict.fromkeys(path for source in sources for path in source.files))
        elif isinstance(each, OwnData):
            files[name] = [Path(said["data"])]
    return files
