"""What a task makes of its rows, tried before the server is asked: every prompt, its choices and the right one."""

from __future__ import annotations

import random
import traceback
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any

from helpers.errors import InvalidDataset
from helpers.evaluation.lm_eval import scoring

SHOWN = 5  # faults in one message
# The field of the YAML that each of lm-eval's functions reads.
FIELDS = {name: name for name in ("doc_to_text", "doc_to_choice", "doc_to_target", "process_docs", "process_results")}
FIELDS |= {f"{name}_docs": f"{name}_split" for name in ("test", "validation", "training", "fewshot")}


def check(tasks: Mapping[str, Any], files: Mapping[str, str], limit: int) -> None:
    """Raise InvalidDataset for questions that cannot be written, that have equal choices or none that is right.

    `files`: the YAML of the tasks whose data lie on this machine; what others published is asked as it is.
    """
    import numpy
    from lm_eval.api.task import ConfigurableTask

    before = random.getstate(), numpy.random.get_state()
    try:
        for name, task in tasks.items():
            own = name in files and isinstance(task, ConfigurableTask)
            if faults := list(islice(_faults(task, limit), SHOWN)) if own else []:
                raise InvalidDataset(f"{files[name]}, {'; '.join(faults)}", do="Correct the task or its rows")
    finally:  # the task's code gets the random numbers that it gets from the lm_eval command
        random.setstate(before[0])
        numpy.random.set_state(before[1])


def place(error: Exception, code: Collection[str], yaml: str) -> str:
    """Return where an error comes from: file and line of the task's own code, or the YAML with the field it is in."""
    frames = traceback.extract_tb(error.__traceback__)
    if own := [frame for frame in frames if frame.filename in code]:
        return f"{own[-1].filename}, line {own[-1].lineno}"
    field = next((FIELDS[frame.name] for frame in reversed(frames) if frame.name in FIELDS), "")
    return yaml + (f", field {field}" if field else "")


def _faults(task: Any, limit: int) -> Iterator[str]:
    number, clustered = 0, scoring.metadata(task, "cluster")
    for number, document in enumerate(islice(task.eval_docs, limit or None), start=1):
        made: dict[str, Any] = {}
        fields = ["doc_to_text", "doc_to_target"]
        for field in [*fields, "doc_to_choice"] if task.OUTPUT_TYPE == "multiple_choice" else fields:
            try:
                made[field] = getattr(task, field)(document)
            except Exception as error:  # noqa: BLE001 - a stranger's template or code
                yield f"field {field}, question {number}: {type(error).__name__}: {error}"
        if clustered and not scoring.cluster(task, document):
            yield f"field metadata.cluster, question {number}: there is no {clustered!r} in it"
        if len(made) == 3 and not callable(task.config.process_results):
            right = made["doc_to_text" if task.multiple_input else "doc_to_target"]
            yield from (
                f"field {field}, question {number}: {why}" for field, why in _wrong(made["doc_to_choice"], right)
            )
    if not number:
        yield "field process_docs: no question is left"


def _wrong(choices: list[Any], right: Any) -> Iterator[tuple[str, str]]:
    if twice := next((choice for place, choice in enumerate(choices) if choice in choices[:place]), None):
        yield "doc_to_choice", f"two choices are {twice!r}"
    for one in right if isinstance(right, list) else [right]:
        if not (one in choices if isinstance(one, str) else isinstance(one, int) and 0 <= one < len(choices)):
            yield "doc_to_target", f"{one!r} is none of the {len(choices)} choices"
