"""Which questions a model may know by their wording: those that share words with the use case's documents."""

from __future__ import annotations

from pathlib import Path

from helpers.artifacts import FOLDER, Dataset
from helpers.datasets import exploring
from helpers.datasets.stated import find_use_case, tasks
from helpers.errors import ArtifactMissing, InvalidInput
from helpers.evaluation.questions import question_files


def seen_before(use_case: str, task: str, folder: Path = FOLDER) -> tuple[str, ...]:
    """Return the questions of a task that share a run of words with the use case's documents and examples.

    What explore_dataset has written in this run counts, else the use case's own files; none where it names no such
    texts, or where its data cannot be read here: what measures them says why.
    """
    names = [name for name, asked in tasks(use_case).items() if asked == task]
    found = find_use_case(use_case) if names else None
    if found is None or not (found.explore.documents or found.explore.examples or found.training):
        return ()
    try:
        dataset = Dataset.read(folder)
    except (ArtifactMissing, InvalidInput):
        settings = exploring.Settings(use_case=use_case)
        try:
            dataset = exploring.explore(settings, exploring.gather(settings, question_files(use_case)), {})
        except InvalidInput:
            return ()
    return dataset.seen_before(names[0]) if dataset.use_case == found.name else ()
