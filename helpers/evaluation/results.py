"""Read what lm-eval left and turn it into the stage's artifact."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from helpers import partial
from helpers.artifacts import Endpoint, Evaluation, Parameter, now
from helpers.errors import ArtifactMissing, EvaluationFailed, IncompleteCoverage
from helpers.evaluation.settings import Settings
from helpers.evaluation.tasks import Task
from helpers.statistics import wilson

RESULTS, SAMPLES, LOG = "lm_eval_results.json", "lm_eval_samples.jsonl", "lm_eval.log"
JOURNAL = f"{partial.FOLDER}/lm_eval_answers.jsonl"
# Metrics that say yes or no for one question, best first.
YES_OR_NO = ("acc", "exact_match", "em", "pass@1", "acc_norm", "prompt_level_strict_acc")


def read_samples(path: Path) -> list[dict[str, Any]]:
    """Return lm-eval's per-question log; raises ArtifactMissing."""
    try:
        return [from_json(line) for line in path.read_bytes().split(b"\n") if line.strip()]
    except FileNotFoundError as error:
        raise ArtifactMissing(f"{path} is not there", do="Run lm_eval_task first") from error


def metric_of(samples: list[dict[str, Any]]) -> str:
    """Return the metric that says yes or no for every question; raises EvaluationFailed where the task has none."""
    for name in YES_OR_NO:
        if all(sample.get(name) in (0, 1) for sample in samples):
            return name
    found = sorted({name for sample in samples for name in sample.get("metrics", [])})
    raise EvaluationFailed(
        f"The task has no metric that is right or wrong for each question, only {', '.join(found)}",
        do="Choose a task with acc or exact_match: an interval and a paired test need right and wrong answers",
    )


def first_filter(samples: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield each question once: a task with several answer filters logs it once for each."""
    seen = set()
    for sample in samples:
        if (key := (sample["task"], sample["doc_id"])) not in seen:
            seen.add(key)
            yield sample


def read_results(settings: Settings, endpoint: Endpoint, folder: Path, *, task: Task, started: datetime) -> Evaluation:
    """Return the score with its interval, and forget the single answers where none is missing.

    Raises IncompleteCoverage for unanswered questions, unless allowed.
    """
    report = json.loads((folder / RESULTS).read_text("utf-8"))
    about = report["assay"]
    samples = list(first_filter(read_samples(folder / SAMPLES)))
    failed = len(about["unanswered"])
    if failed and not settings.allow_partial:
        why = "; ".join(about["reasons"])
        raise IncompleteCoverage(
            f"{failed} of {about['total']} questions of {settings.task} have no answer from {endpoint.url}: {why}",
            do=f"To ask only these, {partial.again()}; to accept the others alone, set ALLOW_PARTIAL=true",
        )
    if not failed:  # a run after this one measures again
        (folder / JOURNAL).unlink(missing_ok=True)
    metric = metric_of(samples)
    correct = sum(int(sample[metric]) for sample in samples)
    return Evaluation(
        digest=endpoint.digest,
        task=settings.task,
        metric=metric,
        score=correct / len(samples),
        interval=wilson(correct, len(samples), settings.confidence),
        n=len(samples),
        correct=correct,
        failed=failed,
        total=about["total"],
        num_fewshot=max(report["n-shot"].values(), default=0),
        dataset_digest=task.digest or about["dataset_digest"],
        samples=SAMPLES,
        report=RESULTS,
        started=started,
        ended=now(),
        request_seconds=about["request_seconds"],
        versions=about["versions"],
        settings=settings.parameters() | _reused(about),
    )


def _reused(about: dict[str, Any]) -> dict[str, Parameter]:
    """Return how many answers were not asked for, and where those of earlier evaluations come from."""
    count: int = about["answers_reused"]
    origins = "; ".join(f"{number} from {origin}" for origin, number in sorted(about["answers_from"].items()))
    return {"answers_reused": count, **({"answers_from": origins} if origins else {})}
