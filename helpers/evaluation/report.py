"""What the child leaves behind: lm-eval's report and its per-question log, with the score of each question."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from helpers.artifacts import write_atomic
from helpers.evaluation import scoring
from helpers.evaluation.completions import NO_ANSWER
from helpers.evaluation.reply import Reply
from helpers.evaluation.results import files

VERSIONS = ("lm_eval", "datasets", "transformers", "tokenizers")
REASONS = 5

Row = dict[str, Any]


def write(
    output: Path,
    options: argparse.Namespace,
    api: str,
    results: dict[str, Any],
    model: Any,
    tasks: dict[str, Any],
    measures: Sequence[scoring.Measure],
) -> None:
    """Write both files; raises NotMeasurable where the scores turn out to be none.

    A question without a text stands in the log with its `status`, and without `score`; one whose request failed not
    at all. `replies` are the facts of each text.
    """
    from lm_eval.utils import handle_non_serializable

    samples = [_row(name, sample) for name, rows in results.pop("samples").items() for sample in rows]
    answered = [sample for sample in samples if sample["status"] == "answered"]
    measure = scoring.chosen(measures, answered) if answered else measures[0]
    if len(answered) < len(samples):
        # lm-eval's own averages count a question without an answer as wrong.
        results["results"] = {}
    asked = [sample for sample in samples if sample["filter"] == measure.filter]
    scored = [sample for sample in asked if sample["status"] == "answered"]
    chances = [scoring.chance(tasks[sample["task"]], sample) for sample in scored]
    for sample in scored:
        sample["score"] = float(sample[measure.metric])
        if cluster := scoring.cluster(tasks[sample["task"]], sample["doc"]):
            sample["cluster"] = cluster
    known = [chance for chance in chances if chance is not None]
    results["assay"] = {
        "api": api,
        "metric": measure.name,
        "others": [each.name for each in measures if each != measure],
        "total": len(asked),
        "statuses": {
            status: sum(sample["status"] == status for sample in asked) for status in ("failed", "empty", "truncated")
        },
        "as_lm_eval": _as_they_are(asked, measure) if len(scored) < len(asked) else None,
        "unparsed": sum(_unparsed(sample, tasks[sample["task"]], measure) for sample in scored),
        "chance": sum(known) / len(known) if known and len(known) == len(chances) else None,
        "reasons": sorted(set(model.reasons))[:REASONS],
        "no_answers": sorted({text.why for sample in asked for text in _texts(sample) if text.status != "answered"}),
        "dataset_digest": _digest(tasks),
        "request_seconds": model.request_seconds,
        "answers_reused": model.reused,
        "answers_from": dict(model.journal.taken),
        "versions": {name: version(name) for name in VERSIONS},
    }
    kept = [sample for sample in samples if sample["status"] != "failed"]
    lines = [json.dumps(sample, default=handle_non_serializable, ensure_ascii=False) for sample in kept]
    names = files(options.name)
    write_atomic(output / names.samples, "".join(f"{line}\n" for line in lines).encode())
    write_atomic(output / names.results, json.dumps(results, indent=2, default=handle_non_serializable).encode())


def _as_they_are(asked: Sequence[Row], measure: scoring.Measure) -> float | None:
    """Return lm-eval's own mean, for which each text counts, also none; None where an answer failed or has no score."""
    scores = [sample.get(measure.metric) for sample in asked if sample["status"] != "failed"]
    known = [float(score) for score in scores if isinstance(score, int | float)]
    return math.fsum(known) / len(known) if len(known) == len(asked) else None


def _row(task: str, sample: Row) -> Row:
    about = [[text.facts for text in answers if isinstance(text, Reply)] for answers in sample["resps"]]
    return {"task": task, **sample, "status": _status(sample), **({"replies": about} if any(about) else {})}


def _status(sample: Row) -> str:
    answers = [answer for answers in sample["resps"] for answer in answers]
    if any(answer == NO_ANSWER or (isinstance(answer, tuple | list) and math.isnan(answer[0])) for answer in answers):
        return "failed"
    found = {text.status for text in _texts(sample)}
    return next((status for status in ("empty", "truncated") if status in found), "answered")


def _texts(sample: Row) -> list[Reply]:
    return [answer for answers in sample["resps"] for answer in answers if isinstance(answer, Reply)]


def _unparsed(sample: Row, task: Any, measure: scoring.Measure) -> bool:
    filtered = sample["filtered_resps"]
    return any(isinstance(answer, str) and answer in scoring.fallbacks(task, measure) for answer in filtered)


def _digest(tasks: dict[str, Any]) -> str:
    """Return a digest over all questions of the task, asked or not."""
    from lm_eval.utils import handle_non_serializable

    rows = [
        [name, json.dumps(dict(document), sort_keys=True, default=handle_non_serializable)]
        for name in sorted(tasks)
        for document in tasks[name].eval_docs
    ]
    return "sha256:" + hashlib.sha256(json.dumps(rows).encode()).hexdigest()
