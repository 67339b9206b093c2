"""Read what lm-eval left and turn it into the stage's artifact."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from helpers.artifacts import Endpoint, Evaluation, Interval, Parameter, Sample, now
from helpers.evaluation.files import Files, named
from helpers.evaluation.lm_eval.figures import figures as of_the_task
from helpers.evaluation.lm_eval.settings import Settings
from helpers.evaluation.lm_eval.tasks import Task
from helpers.evaluation.samples import clusters, read_answers, read_samples
from helpers.evaluation.scored import figures, require_answers
from helpers.statistics import design_effect, mean_of_scores

ELSEWHERE = "used_elsewhere"  # of the settings: what the task's code used beyond the files beside it
LETTER, NONE = re.compile(r"[A-Z]"), "none"
ROOM = "GEN_KWARGS=max_gen_toks=2048"  # gives answers more of it


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
    require_answers(samples, settings.task, endpoint, about["reasons"], ROOM, allow_partial=settings.allow_partial)
    if not statuses["failed"]:  # a run after this one measures again
        (folder / names.journal).unlink(missing_ok=True)
    yes_or_no = all(score in (0, 1) for score in scores)
    others, sides = of_the_task(task.figures, scored, settings.confidence)
    said = {figure.of for figure in task.figures.values()}
    further = [each for each in figures(scored, about["metric"], settings.confidence)[1:] if each.name not in said]
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
        others=(*further, *others),
        detail=_letters(scored) | sides,
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


def _letters(scored: Sequence[Sample]) -> dict[str, Any]:
    """Return how often each letter was expected and answered, {} where the answers are no letters."""
    if not all(LETTER.fullmatch(sample.expected) for sample in scored):
        return {}
    answered = Counter(sample.output if LETTER.fullmatch(sample.output) else NONE for sample in scored)
    expected = Counter(sample.expected for sample in scored)
    return {"expected": dict(sorted(expected.items())), "answered": dict(sorted(answered.items()))}


def _cut(report: dict[str, Any]) -> bool:
    """Return whether the limit left out questions: one above their number makes no trial."""
    return any(each["effective"] < each["original"] for each in report["n-samples"].values())


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
