"""Read what lm-eval left and turn it into the stage's artifact."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from helpers.artifacts import Endpoint, Evaluation, Interval, Parameter, Sample, now
from helpers.errors import EmptyAnswers, EvaluationFailed, IncompleteCoverage
from helpers.evaluation.files import Files, named
from helpers.evaluation.lm_eval.figures import figures
from helpers.evaluation.lm_eval.settings import Settings
from helpers.evaluation.lm_eval.tasks import Task
from helpers.evaluation.samples import clusters, read_answers, read_samples
from helpers.runtime import partial
from helpers.statistics import design_effect, mean_of_scores

ELSEWHERE = "used_elsewhere"  # of the settings: what the task's code used beyond the files beside it
MOST = 0.5  # of the answers: where more are none, the score says nothing


def files(name: str) -> Files:
    """Return what the files of the measurement `name` are called, in its folder."""
    return named(name, "lm_eval")


def read_results(settings: Settings, endpoint: Endpoint, folder: Path, *, task: Task, started: datetime) -> Evaluation:
    """Return the score with its interval, and forget the single answers where none is missing.

    Raises IncompleteCoverage for questions whose request failed and EmptyAnswers where most answers are none, unless
    allowed; EvaluationFailed where nothing was answered.
    """
    names = files(settings.name)
    report = json.loads((folder / names.results).read_text("utf-8"))
    about = report["assay"]
    samples = read_samples(folder / names.samples, about["metric"])
    scored = [sample for sample in samples if sample.scores]
    scores, known = [sample.score for sample in scored], clusters(scored)
    statuses = Counter(sample.status for sample in samples)
    _check(settings, endpoint, about["reasons"], samples)
    if not statuses["failed"]:  # a run after this one measures again
        (folder / names.journal).unlink(missing_ok=True)
    yes_or_no = all(score in (0, 1) for score in scores)
    others, sides = figures(task.figures, scored, settings.confidence)
    return Evaluation(
        name=settings.name,
        digest=endpoint.digest,
        task=settings.task,
        api=about["api"],
        metric=about["metric"],
        score_kind="proportion" if yes_or_no else "mean",
        score=math.fsum(scores) / len(scores),
        interval=mean_of_scores(scores, settings.confidence, known),
        clusters=len(set(known)),
        design_effect=design_effect(scores, known),
        chance=about["chance"],
        n=len(scores),
        correct=round(math.fsum(scores)) if yes_or_no else None,
        failed=statuses["failed"],
        empty=statuses["empty"],
        truncated=statuses["truncated"],
        as_lm_eval=about["as_lm_eval"],
        unparsed=statuses["unparsed"],
        again=about.get("again"),
        total=len(samples),
        limit=settings.limit if _cut(report) else 0,
        others=others,
        detail=sides,
        num_fewshot=max(report["n-shot"].values(), default=0),
        dataset_digest=task.digest or about["dataset_digest"],
        samples=names.samples,
        report=names.results,
        started=started,
        ended=now(),
        request_seconds=about["request_seconds"],
        versions=about["versions"],
        settings=settings.parameters() | _reused(about) | _elsewhere(report),
    )


def _cut(report: dict[str, Any]) -> bool:
    """Return whether the limit left out questions: one above their number makes no trial."""
    return any(each["effective"] < each["original"] for each in report["n-samples"].values())


def _check(settings: Settings, endpoint: Endpoint, reasons: Sequence[str], samples: Sequence[Sample]) -> None:
    statuses, total = Counter(sample.status for sample in samples), len(samples)
    failed, none = statuses["failed"], statuses["empty"] + statuses["truncated"]
    why = "; ".join(reasons)
    told = "; ".join(sorted({sample.why for sample in samples if sample.why}))
    if failed == total:
        raise EvaluationFailed(
            f"None of the {total} questions of {settings.task} got an answer from {endpoint.url}: {why}",
            do=f"See in the server's log why, then {partial.again()}",
        )
    if failed and not settings.allow_partial:
        raise IncompleteCoverage(
            f"{failed} of {total} questions of {settings.task} have no answer from {endpoint.url}: {why}",
            do=f"To ask only these, {partial.again()}; to accept the others alone, set ALLOW_PARTIAL=true",
        )
    if failed + none == total or (none > MOST * total and not settings.allow_partial):
        raise EmptyAnswers(
            f"{none} of {total} answers of {endpoint.model} to {settings.task} are none: {statuses['empty']} without "
            f"text, {statuses['truncated']} cut off; {told}",
            do="Give answers more room (GEN_KWARGS=max_gen_toks=2048), let a reasoning model be served with its "
            "reasoning parser or think less, and see that API fits the model",
        )


def score_again(evaluation: Evaluation, folder: Path, confidence: float) -> Interval:
    """Return the interval of the score that was measured, for another confidence; reads the samples log."""
    scored = read_answers(folder / evaluation.samples, evaluation.metric).values()
    return mean_of_scores([sample.score for sample in scored], confidence, clusters(scored))


def _elsewhere(report: dict[str, Any]) -> dict[str, Parameter]:
    """Return what the task's code used that no digest covers."""
    found = report.get("assay_task", {}).get("elsewhere", [])
    return {ELSEWHERE: ", ".join(found[:10])} if found else {}


def _reused(about: dict[str, Any]) -> dict[str, Parameter]:
    """Return how many answers were not asked for, and where those of earlier evaluations come from."""
    count: int = about["answers_reused"]
    origins = "; ".join(f"{number} from {origin}" for origin, number in sorted(about["answers_from"].items()))
    return {"answers_reused": count, **({"answers_from": origins} if origins else {})}
