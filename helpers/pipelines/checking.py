"""`make check`: what a pipeline would measure with these values, how long that takes, and all that is wrong at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from helpers import datasets, load_test
from helpers.analysis import wording
from helpers.artifacts import measurements_in
from helpers.datasets.arrival import bounded
from helpers.datasets.questions import CHOICES
from helpers.datasets.stated import find_use_case
from helpers.errors import Forbidden, StoreFailed, StoreUnreachable
from helpers.evaluation import evaluator, lm_eval
from helpers.evaluation.asked import Asked
from helpers.pipelines.data import Data
from helpers.pipelines.definition import Pipeline
from helpers.pipelines.values import check_values, stage_settings, stage_variables
from helpers.runtime.workspace import ROOT

if TYPE_CHECKING:
    from helpers.evaluation.lm_eval.tasks import Task

QUICK = 4 << 20  # bytes of a use case whose texts are compared in a second
ASSUMED_SECONDS = 2.0  # of one request, where none was measured here


def check(pipeline: Pipeline, given: Mapping[str, str]) -> list[str]:
    """Return what would be measured, line by line. Raises InvalidParameter with every fault."""
    data = check_values(pipeline, given, stage_variables(pipeline))
    values = pipeline.parameters | dict(given) | data.values
    told = [*_told(pipeline, data, values | dict(given)), *data.notes]
    with data.beside(), suppress(StoreFailed, StoreUnreachable, Forbidden):  # which the notes say already
        told += [
            *_named(pipeline, data),
            *_seen_before(data),
            *_load_tests(pipeline, values),
            *_evaluations(pipeline, values),
        ]
    return told


def _told(pipeline: Pipeline, data: Data, said: Mapping[str, str]) -> Iterable[str]:
    yield f"{pipeline.name}: {', '.join(pipeline.stages)}"
    for name, files in data.files.items():
        size = sum(path.stat().st_size for path in files.values())
        yield f"{name}={said[name]}: {len(files)} file{'' if len(files) == 1 else 's'}, {size / 1024:,.0f} KiB"


def _named(pipeline: Pipeline, data: Data) -> Iterable[str]:
    """Yield which measurements of the use case this pipeline leaves out."""
    found = find_use_case(data.values["USE_CASE"]) if "USE_CASE" in data.values else None
    if found and (more := [name for name in found.names if name not in pipeline.measurements]):
        yield f"not measured, because {pipeline.name} has no node of that name: {', '.join(more)}"


def _seen_before(data: Data) -> Iterable[str]:
    """Yield how many questions of each evaluation share words with documents, where looking takes no time."""
    value = data.values.get("USE_CASE", "")
    found = find_use_case(value) if value else None
    files = [file for path in found.paths for file in bounded(path)] if found else []
    if found and sum(file.stat().st_size for file in files) <= QUICK:
        for name, each in found.evaluations.items():
            if seen := wording.seen_before(value, each.subject):
                yield f"{len(seen)} questions of {name} share words with documents or examples (explore_dataset: which)"


def _load_tests(pipeline: Pipeline, values: Mapping[str, str]) -> Iterable[str]:
    """Yield what each load test sends and how long it takes, by what one request took here before."""
    from helpers.load_test.planning import plan

    alone = _measured()
    known = f"one request took {alone:.2g} s" if alone else f"one request is assumed to take {ASSUMED_SECONDS:g} s"
    for name, settings in stage_settings(pipeline, values, load_test.Settings):
        low, high = plan(settings, alone or ASSUMED_SECONDS).expected
        sent = _prompts(Path(settings.prompts)) if settings.workload == "prompts" else settings.workload_name
        yield f"{name}: {sent}; {low / 60:.0f} to {high / 60:.0f} min ({known})"


def _prompts(file: Path) -> str:
    if not file.is_file():
        return f"the prompts of {file}"
    rows = datasets.load_prompts(file)
    asked = sorted(row.output_tokens for row in rows)
    talks = sum(bool(row.history) for row in rows)
    return (
        f"{len(rows)} prompts, {talks} of them conversations, answers of {asked[0]} to {asked[-1]} tokens, "
        f"half of them up to {asked[len(asked) // 2]}"
    )


def _evaluations(pipeline: Pipeline, values: Mapping[str, str]) -> Iterable[str]:
    """Yield what each evaluation asks, with its questions and requests where the task is of our own format."""
    from helpers.evaluation.lm_eval.tasks import check_task

    for name, settings in stage_settings(pipeline, values, lm_eval.Settings):
        if settings.unwanted:
            yield f"{name}: not measured, {settings.unwanted}"
            continue
        told = f"{name}: the task {settings.task}"
        if settings.include_path and settings.include_path.is_dir():
            found = check_task(settings)
            if rows := found.questions or _rows(found):
                count = min(settings.limit or rows, rows)
                told += f", {count} questions"
                told += f" with {CHOICES} choices each, {count * CHOICES} answers to score" if found.questions else ""
        yield told
    for name, asked in stage_settings(pipeline, values, Asked):
        if asked.unwanted:
            yield f"{name}: not measured, {asked.unwanted}"
        else:
            files = ", ".join(evaluator.of(asked).content(asked))
            yield f"{name}: {asked.evaluator} with {files or asked.subject}"


def _rows(task: Task) -> int:
    """Return how many rows a task's only file of JSON lines has, 0 where the data are something else."""
    files = [file for source in task.sources.values() for file in source.files]
    if task.remote or len(files) != 1 or files[0].suffix != ".jsonl":
        return 0
    return sum(bool(line.strip()) for line in files[0].read_text("utf-8").split("\n"))


def _measured() -> float | None:
    """Return what one request took alone in the newest sweep on this machine, None where there is none."""
    for path in sorted((ROOT / "runs").glob("**/artifacts"), key=lambda path: path.stat().st_mtime)[::-1]:
        for content in measurements_in(path).values():
            if seconds := content.get("one_request_seconds"):
                return float(seconds)
    return None
