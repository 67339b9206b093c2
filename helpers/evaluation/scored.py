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
    require_answers(samples, settings, endpoint, reasons)
    write_samples(samples, folder / names.samples)
    counted = [sample for sample in samples if not sample.beside]
    statuses = Counter(sample.status for sample in counted)
    if not statuses["failed"]:  # a run after this one measures again
        (folder / names.journal).unlink(missing_ok=True)
    scored = [sample for sample in counted if sample.scores]
    figures = {name: _figure(name, scored, settings.confidence) for name in _names(scored, settings.metric)}
    own = figures.pop(settings.metric)
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
        others=tuple({**figures, **{other.name: other for other in others}}.values()),
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


def _names(scored: Sequence[Sample], first: str) -> list[str]:
    """Return the names of the scores that every row has, the measurement's own first."""
    common = [name for name in scored[0].scores if all(name in sample.scores for sample in scored)]
    return [first, *(name for name in common if name != first)]


def _figure(name: str, scored: Sequence[Sample], confidence: float) -> Metric:
    values = [sample.scores[name] for sample in scored]
    interval: Interval = mean_of_scores(values, confidence, clusters(scored))
    kind: Literal["proportion", "mean"] = "proportion" if all(value in (0, 1) for value in values) else "mean"
    return Metric(name=name, value=math.fsum(values) / len(values), n=len(values), kind=kind, interval=interval)


def require_answers(
    samples: Sequence[Sample], settings: Asked, endpoint: Endpoint, reasons: Iterable[str] = ()
) -> None:
    """Refuse what says nothing of the model.

    Raises EvaluationFailed where nothing was answered, IncompleteCoverage for rows whose request failed and
    EmptyAnswers where most answers are none, both unless ALLOW_PARTIAL accepts them.
    """
    statuses, total = Counter(sample.status for sample in samples), len(samples)
    failed, none = statuses["failed"], statuses["empty"] + statuses["truncated"]
    why = "; ".join(sorted({*reasons, *(sample.why for sample in samples if sample.why)})[:5])
    rows = f"rows of {settings.subject}"
    if failed == total:
        raise EvaluationFailed(
            f"None of the {total} {rows} got an answer from {endpoint.url}: {why}",
            do=f"See in the server's log why, then {partial.again()}",
        )
    if failed and not settings.allow_partial:
        raise IncompleteCoverage(
            f"{failed} of {total} {rows} have no answer from {endpoint.url}: {why}",
            do=f"To ask only these, {partial.again()}; to accept the others alone, set ALLOW_PARTIAL=true",
        )
    if not any(settings.metric in sample.scores for sample in samples) or (
        none > MOST * total and not settings.allow_partial
    ):
        raise EmptyAnswers(
            f"{none} of {total} answers of {endpoint.model} to {settings.subject} are none: {statuses['empty']} "
            f"without text, {statuses['truncated']} cut off; {why}",
            do="Give answers more room (MAX_TOKENS), and let a reasoning model be served with its reasoning parser",
        )
