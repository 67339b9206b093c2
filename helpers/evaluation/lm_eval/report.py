"""What the child leaves behind: lm-eval's report and the samples log."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from helpers.artifacts import Sample, Status, write_atomic
from helpers.evaluation.lm_eval import scoring
from helpers.evaluation.lm_eval.completions import NO_ANSWER
from helpers.evaluation.lm_eval.results import files
from helpers.evaluation.lm_eval.rows import of_row
from helpers.evaluation.reply import Reply
from helpers.evaluation.samples import write_samples

VERSIONS = ("lm_eval", "datasets", "transformers", "tokenizers")
REASONS = 5

Row = dict[str, Any]


def write(
    output: Path,
    options: argparse.Namespace,
    api: str,
    results: dict[str, Any],
    again: dict[str, Any],
    model: Any,
    tasks: dict[str, Any],
    measures: Sequence[scoring.Measure],
) -> None:
    """Write lm-eval's report and the samples log; raises NotMeasurable where the scores turn out to be none.

    `again` are lm-eval's samples of the questions that were asked a second time, by task.
    """
    from lm_eval.utils import handle_non_serializable

    reads = {name: scoring.reads(task) for name, task in tasks.items()}
    rows = [
        {"task": name, "reads": reads[name], **row} for name, found in results.pop("samples").items() for row in found
    ]
    answered = [row for row in rows if _status(row) == "answered"]
    measure = scoring.chosen(measures, answered) if answered else measures[0]
    if len(answered) < len(rows):
        # lm-eval's own averages count a question without an answer as wrong.
        results["results"] = {}
    questions: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        questions.setdefault((row["task"], row["doc_id"]), []).append(row)
    ordered = [measure, *(each for each in measures if each != measure)]
    samples = [_sample(asked, tasks[name], ordered) for (name, _), asked in questions.items()]
    asked = [row for row in rows if row["filter"] == measure.filter]
    scored = [row for row, sample in zip(asked, samples, strict=True) if sample.scores]
    chances = [scoring.chance(tasks[row["task"]], row) for row in scored]
    known = [chance for chance in chances if chance is not None]
    results["assay"] = {
        "api": api,
        "metric": measure.name,
        "others": [each.name for each in measures if each != measure],
        "as_lm_eval": _as_they_are(asked, measure) if len(scored) < len(asked) else None,
        "chance": sum(known) / len(known) if known and len(known) == len(chances) else None,
        "again": _again(asked, again, measure),
        "reasons": sorted(set(model.reasons))[:REASONS],
        "dataset_digest": _digest(tasks),
        "request_seconds": model.request_seconds,
        "answers_reused": model.reused,
        "answers_from": dict(model.journal.taken),
        "versions": {name: version(name) for name in VERSIONS},
    }
    names = files(options.name)
    write_samples(samples, output / names.samples)
    write_atomic(output / names.results, json.dumps(results, indent=2, default=handle_non_serializable).encode())


def _again(asked: Sequence[Row], again: dict[str, list[Row]], measure: scoring.Measure) -> dict[str, int] | None:
    """Return how many answered questions were asked again, and how many scored otherwise and were worded otherwise."""
    first = {(row["task"], row["doc_id"]): row for row in asked if _status(row) == "answered"}
    pairs = [
        (first[name, row["doc_id"]], row)
        for name, rows in again.items()
        for row in rows
        if row["filter"] == measure.filter and _status(row) == "answered" and (name, row["doc_id"]) in first
    ]
    if not pairs:
        return None
    return {
        "asked": len(pairs),
        "flips": sum(one[measure.metric] != other[measure.metric] for one, other in pairs),
        "reworded": sum(_said(one) != _said(other) for one, other in pairs),
    }


def _said(row: Row) -> list[str]:
    return [str(answer) for answer in _texts(row)]


def _as_they_are(asked: Sequence[Row], measure: scoring.Measure) -> float | None:
    """Return lm-eval's own mean, for which each text counts, also none; None where an answer failed or has no score."""
    scores = [row.get(measure.metric) for row in asked if _status(row) != "failed"]
    known = [float(score) for score in scores if isinstance(score, int | float)]
    return math.fsum(known) / len(known) if len(known) == len(asked) else None


def _sample(rows: Sequence[Row], task: Any, measures: Sequence[scoring.Measure]) -> Sample:
    row = next(row for row in rows if row["filter"] == measures[0].filter)
    status = _status(row)
    if status == "answered" and _unparsed(row, task, measures[0]):
        status = "unparsed"
    why = next((text.why for text in _texts(row) if text.status != "answered"), "")
    return of_row(rows, measures, status, why, scoring.cluster(task, row["doc"]))


def _status(row: Row) -> Status:
    answers = [answer for answers in row["resps"] for answer in answers]
    if any(answer == NO_ANSWER or (isinstance(answer, tuple | list) and math.isnan(answer[0])) for answer in answers):
        return "failed"
    enough = row.get("reads") or math.inf  # characters: what is cut off behind them is not looked at
    found = {"answered" if len(text) >= enough else text.status for text in _texts(row)}
    kinds: tuple[Status, ...] = ("empty", "truncated")
    return next((status for status in kinds if status in found), "answered")


def _texts(row: Row) -> list[Reply]:
    return [answer for answers in row["resps"] for answer in answers if isinstance(answer, Reply)]


def _unparsed(row: Row, task: Any, measure: scoring.Measure) -> bool:
    """Return whether the filter found no answer in the text, which scores 0 then."""
    return any(
        isinstance(answer, str) and answer in scoring.fallbacks(task, measure) for answer in row["filtered_resps"]
    )


def _digest(tasks: dict[str, Any]) -> str:
    """Return a digest over all questions of the task, asked or not."""
    from lm_eval.utils import handle_non_serializable

    rows = [
        [name, json.dumps(dict(document), sort_keys=True, default=handle_non_serializable)]
        for name in sorted(tasks)
        for document in tasks[name].eval_docs
    ]
    return "sha256:" + hashlib.sha256(json.dumps(rows).encode()).hexdigest()
