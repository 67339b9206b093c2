"""From an evaluator's samples to its measurement: scores with intervals; too few answers are refused."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from helpers.artifacts import Endpoint, Evaluation, Interval, Metric, Sample, now
from helpers.errors import EmptyAnswers, EvaluationFailed, IncompleteCoverage
from helpers.evaluation.asked import Asked
from helpers.evaluation.files import Files
from helpers.evaluation.samples import clusters, write_samples
from helpers.runtime import partial
from helpers.statistics import design_effect, mean_of_scores

MOST_REASONS = 5
MOST = 0.5  # of the answers: where more are none, the score says nothing


def measurement(
    samples: Sequence[Sample],
    settings: Asked,
    endpoint: Endpoint,
    folder: Path,
    names: Files,
    *,
    tier: str,
    dataset_digest: str,
    started: datetime,
    versions: Mapping[str, str],
    whole: int,
    seconds: float = 0.0,
    reasons: Iterable[str] = (),
    chance: float | None = None,
    others: Iterable[Metric] = (),
    detail: Mapping[str, Any] | None = None,
    report: str = "",
) -> Evaluation:
    """Write the samples log into `folder` and return the measurement, whose score is `settings.metric`.

    `whole` is how many rows there are, asked or not; `others` are figures beside those that the samples score. A row
    that stands beside the measurement is logged, and no part of this score.
    Raises EvaluationFailed, IncompleteCoverage and EmptyAnswers as `require_answers`.
    """
    room = f"MAX_TOKENS={4 * settings.max_tokens}"
    counted = [sample for sample in samples if not sample.beside]
    require_answers(counted, settings.subject, endpoint, reasons, room, allow_partial=settings.allow_partial)
    write_samples(samples, folder / names.samples)
    statuses = Counter(sample.status for sample in counted)
    if not statuses["failed"]:  # a run after this one measures again
        (folder / names.journal).unlink(missing_ok=True)
    scored = [sample for sample in counted if sample.scores]
    own, *further = figures(scored, settings.metric, settings.confidence)
    scores, known = [sample.scores[settings.metric] for sample in scored], clusters(scored)
    assert own.interval is not None
    return Evaluation(
        name=settings.name,
        tier=tier,  # type: ignore[arg-type]
        digest=endpoint.digest,
        evaluator=settings.evaluator,
        task=settings.subject,
        api="chat",
        metric=settings.metric,
        score_kind=own.kind,  # type: ignore[arg-type]
        score=own.value,
        interval=own.interval,
        chance=chance,
        n=own.n,
        clusters=len(set(known)),
        design_effect=design_effect(scores, known),
        correct=round(math.fsum(scores)) if own.kind == "proportion" else None,
        failed=statuses["failed"],
        empty=statuses["empty"],
        truncated=statuses["truncated"],
        unparsed=statuses["unparsed"],
        total=len(counted),
        limit=settings.limit if len(samples) < whole else 0,
        others=tuple({each.name: each for each in (*further, *others)}.values()),
        detail=dict(detail or {}),
        dataset_digest=dataset_digest,
        samples=names.samples,
        report=report,
        started=started,
        ended=now(),
        request_seconds=round(seconds, 3),
        versions=dict(versions),
        settings=settings.parameters(),
    )


def figures(scored: Sequence[Sample], first: str, confidence: float) -> list[Metric]:
    """Return each score as a figure with its interval, `first` first; a row may lack one that it has no answer for."""
    names = dict.fromkeys([first, *(name for sample in scored for name in sample.scores)])
    return [_figure(name, scored, confidence) for name in names]


def _figure(name: str, scored: Sequence[Sample], confidence: float) -> Metric:
    having = [sample for sample in scored if name in sample.scores]
    values = [sample.scores[name] for sample in having]
    interval: Interval = mean_of_scores(values, confidence, clusters(having))
    kind: Literal["proportion", "mean"] = "proportion" if all(value in (0, 1) for value in values) else "mean"
    return Metric(name=name, value=math.fsum(values) / len(values), n=len(values), kind=kind, interval=interval)


def require_answers(
    samples: Sequence[Sample],
    subject: str,
    endpoint: Endpoint,
    reasons: Iterable[str],
    room: str,
    *,
    allow_partial: bool,
) -> None:
    """Refuse what says nothing of the model; `room` is the parameter that gives answers more tokens.

    Raises EvaluationFailed where nothing was answered, IncompleteCoverage for questions whose request failed and
    EmptyAnswers where most answers are none, both unless ALLOW_PARTIAL accepts them.
    """
    statuses, total = Counter(sample.status for sample in samples), len(samples)
    failed, none = statuses["failed"], statuses["empty"] + statuses["truncated"]
    why = "; ".join(sorted({*reasons})[:MOST_REASONS])
    told = "; ".join(sorted({sample.why for sample in samples if sample.why})[:MOST_REASONS])
    if failed == total:
        raise EvaluationFailed(
            f"None of the {total} questions of {subject} got an answer from {endpoint.url}: {why}",
            do=f"See in the server's log why, then {partial.again()}",
        )
    if failed and not allow_partial:
        raise IncompleteCoverage(
            f"{failed} of {total} questions of {subject} have no answer from {endpoint.url}: {why}",
            do=f"To ask only these, {partial.again()}; to accept the others alone, set ALLOW_PARTIAL=true",
        )
    if not any(sample.scores for sample in samples) or (none > MOST * total and not allow_partial):
        raise EmptyAnswers(
            f"{none} of {total} answers of {endpoint.model} to {subject} are none: {statuses['empty']} without "
            f"text, {statuses['truncated']} cut off; {told}",
            do=f"Give answers more room ({room}), let a reasoning model be served with its reasoning parser or think "
            "less, and see that API fits the model",
        )
