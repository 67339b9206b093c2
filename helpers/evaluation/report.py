"""What the child leaves behind: lm-eval's report and its per-question log."""

from __future__ import annotations

import argparse
import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from helpers.artifacts import write_atomic
from helpers.errors import EvaluationFailed
from helpers.evaluation.results import RESULTS, SAMPLES

VERSIONS = ("lm_eval", "datasets", "transformers", "tokenizers")


def write(output: Path, options: argparse.Namespace, results: dict[str, Any], model: Any, tasks: Any) -> None:
    """Write both files; raises EvaluationFailed where no question was answered."""
    from lm_eval.utils import handle_non_serializable

    samples = [{"task": name, **sample} for name, rows in results.pop("samples").items() for sample in rows]
    answered = [sample for sample in samples if not _unanswered(sample)]
    if len(answered) < len(samples):
        # lm-eval's own averages count a question without an answer as wrong.
        results["results"] = {}
    results["assay"] = {
        "total": len({(sample["task"], sample["doc_id"]) for sample in samples}),
        "unanswered": sorted({(sample["task"], sample["doc_id"]) for sample in samples if _unanswered(sample)}),
        "reasons": sorted(set(model.reasons))[:5],
        "dataset_digest": _digest(tasks["tasks"]),
        "request_seconds": model.request_seconds,
        "answers_reused": model.reused,
        "answers_from": dict(model.journal.taken),
        "versions": {name: version(name) for name in VERSIONS},
    }
    lines = [json.dumps(sample, default=handle_non_serializable, ensure_ascii=False) for sample in answered]
    write_atomic(output / SAMPLES, "".join(f"{line}\n" for line in lines).encode())
    write_atomic(output / RESULTS, json.dumps(results, indent=2, default=handle_non_serializable).encode())
    if not answered:
        first = "; ".join(model.reasons[:1])
        raise EvaluationFailed(
            f"None of the {len(samples)} questions of {options.task} got an answer from {options.url}: {first}",
            do="See in the server's log why; multiple choice needs prompt log-probabilities on /v1/completions",
        )


def _unanswered(sample: dict[str, Any]) -> bool:
    from helpers.evaluation.completions import NO_ANSWER

    answers = [answer for answers in sample["resps"] for answer in answers]
    return any(
        answer == NO_ANSWER or (isinstance(answer, tuple | list) and answer[0] != answer[0]) for answer in answers
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
