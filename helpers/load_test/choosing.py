"""At which load may the model be run?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

from helpers.artifacts import SLO, Headline, LoadPoint, OperatingPoint
from helpers.statistics import wilson

LATE = 0.05  # share of requests beyond a 95th percentile
NAMES = {"ttft_ms": "TTFT", "itl_ms": "ITL", "e2e_ms": "end-to-end latency"}


def operating_point(
    points: Sequence[LoadPoint], slo: SLO, error_limit: float = 0.01, not_held: Mapping[int, str] | None = None
) -> OperatingPoint:
    """Return the highest measured load (requests/s achieved) that meets the objective, and why it is that one.

    A load that is saturated, or that the load generator limited, is it only where no other one meets the objective.
    `not_held` are loads, by index, that met it once and missed it when they were repeated, with how often: what is
    chosen lies below them.
    """
    tried = not_held or {}
    below = min((points[i].requests_per_second for i in tried), default=inf)
    fitting = [i for i, p in enumerate(points) if p.meets_slo and i not in tried and p.requests_per_second < below]
    if not fitting:
        return OperatingPoint(
            index=None, reason=f"No measured load meets {describe(slo)}. {_nearest(points, slo, error_limit)}"
        )
    sustained = [i for i in fitting if not points[i].saturated and not points[i].limited_by_load_generator]
    best = max(sustained or fitting, key=lambda i: points[i].requests_per_second)
    chosen = points[best]
    reason = f"{chosen.strategy} is the highest measured load ({chosen.requests_per_second:.3g} requests/s) that "
    reason += f"meets {describe(slo)}{_measured(chosen, slo)}. "
    if all(points[i].saturated for i in fitting):
        reason += "It is saturated, as is every load that meets it. "
    elif not sustained:
        reason += "The load generator may have limited each load that meets it and is not saturated. "
    return OperatingPoint(index=best, reason=(reason + _beyond(points, chosen, slo, error_limit, tried)).strip())


def may_meet(point: LoadPoint, slo: SLO, error_limit: float = 0.01) -> bool:
    """Return whether a load that missed the objective by latency alone may meet it when it is measured again.

    A 95th percentile lies within its limit where 95 % of the requests do: that is what their share's interval may say.
    """
    if point.meets_slo or point.short_of or not point.enough or point.error_share > error_limit:
        return False
    if point.slo_attainment is None:
        return False
    limits = sum(value is not None for value in slo.model_dump().values())
    # A request may miss one limit and meet the others: each percentile holds where at least so many meet all.
    within = wilson(round(point.slo_attainment * point.successful), point.successful)
    return within.high >= 1 - LATE * limits


def describe(slo: SLO) -> str:
    """Return the objective in words."""
    limits = [f"{NAMES[name]} p95 ≤ {value:g} ms" for name, value in slo.model_dump().items() if value]
    return " and ".join(limits) or "the limit on failed requests (no latency objective was set)"


def with_repeats(found: OperatingPoint, repeats: Sequence[LoadPoint], slo: SLO) -> OperatingPoint:
    """Return the operating point with what its repeats measured: the figures that count from here on."""
    if found.index is None or not repeats:
        return found
    mean = Headline.of(repeats)
    what = f"Mean of {mean.n} repeats" if mean.n > 1 else "One repeat"
    told = f"{what} ({mean.requests_per_second:.3g} requests/s){_measured(mean, slo)}"
    return found.model_copy(update={"reason": f"{found.reason.rstrip('.')}. {told}"})


def _measured(point: LoadPoint | Headline, slo: SLO) -> str:
    parts = [f"{NAMES[name]} p95 {_figure(value)} ms" for name, value in _p95(point, slo).items() if value is not None]
    return f": {', '.join(parts)}" if parts else ""


def _p95(point: LoadPoint | Headline, slo: SLO) -> dict[str, float | None]:
    """The measured 95th percentile of each limited metric."""
    limited = [name for name, value in slo.model_dump().items() if value]
    return {name: getattr(getattr(point, name), "p95", None) for name in limited}


def _beyond(
    points: Sequence[LoadPoint], chosen: LoadPoint, slo: SLO, error_limit: float, not_held: Mapping[int, str]
) -> str:
    higher = [i for i, p in enumerate(points) if p.requests_per_second > chosen.requests_per_second]
    if not higher:
        return "No higher load was measured"
    index = min(higher, key=lambda i: points[i].requests_per_second)
    following = points[index]
    if index in not_held:
        return f"The next higher one, {following.strategy}, met it once, and missed it in {not_held[index]} repeats"
    if following.meets_slo and following.saturated:
        return f"The next higher one, {following.strategy}, meets it too and is saturated"
    return f"The next higher one, {following.strategy}, does not: {why_not(following, slo, error_limit)}"


def _nearest(points: Sequence[LoadPoint], slo: SLO, error_limit: float) -> str:
    answered = [p for p in points if p.successful]
    if not answered:
        return "No request was answered"
    lowest = min(answered, key=lambda p: p.requests_per_second)
    told = f"Even at the lowest, {lowest.strategy}: {why_not(lowest, slo, error_limit)}"
    judged = [] if lowest.enough else [p for p in answered if p.enough]  # too few answers say nothing of the latency
    if not judged:
        return told
    next_one = min(judged, key=lambda p: p.requests_per_second)
    return f"{told}. At the lowest with enough answers, {next_one.strategy}: {why_not(next_one, slo, error_limit)}"


def why_not(point: LoadPoint, slo: SLO, error_limit: float = 0.01) -> str:
    """Return why a load does not meet the objective; what failed comes first, latencies are those of the others."""
    limits = slo.model_dump()
    reasons = []
    if point.short_of:
        reasons.append(f"its answers had {point.mean_output_tokens:.3g} of {point.short_of:.3g} tokens")
    if not point.enough:
        reasons.append(
            f"{point.successful} answers in {point.duration_seconds:.0f} s are too few for a 95th percentile"
        )
    if point.error_share > error_limit:
        reasons.append(f"{point.errored} of {point.successful + point.errored} requests failed")
    for name, value in _p95(point, slo).items():
        if value is None:
            reasons.append(f"{NAMES[name]} could not be measured")
        elif value > limits[name]:
            reasons.append(f"{NAMES[name]} p95 {_figure(value)} ms")
    return ", ".join(reasons) or f"{point.incomplete} requests were cut off, more than 5 % too late already"


def _figure(value: float) -> str:
    """Return milliseconds as people write them, never as 1.2e+04."""
    return f"{value:.4g}" if value < 1000 else f"{value:,.0f}"
