"""One figure of a candidate against its baseline: no worse, worse, or not known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Literal

from helpers.analysis.comparison.common_load import AtLoad
from helpers.artifacts import Contract
from helpers.statistics import Paired, questions_within

State = Literal["pass", "fail", "inconclusive"]


class Check(Contract):
    """What was held against what, and what came out."""

    name: str
    allowed: str
    seen: str
    state: State


def accuracy(name: str, pair: Paired, allowed: float) -> Check:
    """Non-inferiority: a bound of the difference's interval against what may be lost; the candidate is the first."""
    bounds = pair.interval
    seen = f"{pair.difference:+.3f} ({bounds.low:+.3f} to {bounds.high:+.3f}), {pair.n} questions, {pair.flips} flips"
    state = _state(-bounds.low, -bounds.high, allowed)
    needed = questions_within(pair.error, pair.n, allowed, bounds.confidence) if state == "inconclusive" else None
    if needed and needed > pair.n:
        seen += f"; about {needed - pair.n:,} more questions would decide"
    return Check(name=name, allowed=f"at most {allowed:g} lost", seen=seen, state=state)


def speed(name: str, candidate: Sequence[float], baseline: Sequence[float], allowed: float, worse: int) -> Check:
    """The ratio of two means of measurements, by Welch's interval of the logarithms.

    `worse` is 1 where more is worse, else -1. One measurement knows no noise: that is inconclusive, whatever the ratio.
    """
    limit = f"at most {allowed:.0%} {'more' if worse > 0 else 'less'}"
    if min(len(candidate), len(baseline)) < 2 or min(*candidate, *baseline) <= 0:
        return Check(name=name, allowed=limit, seen="not measured often enough", state="inconclusive")
    found = _interval([math.log(value) for value in candidate], [math.log(value) for value in baseline])
    means = f"{fmean(candidate):.4g} against {fmean(baseline):.4g}"
    return _ratio(name, limit, means, found, allowed, worse)


def latency(name: str, candidate: AtLoad | None, baseline: AtLoad | None, load: float, allowed: float) -> Check:
    """The ratio of two latencies at one load (requests/s), no nearer than interpolation between loads leaves open."""
    limit = f"at most {allowed:.0%} more at {load:.2f} requests/s"
    known = candidate and baseline and min(candidate.low, baseline.low) > 0
    if not (candidate and baseline and known) or min(len(candidate.scatter), len(baseline.scatter)) < 2:
        return Check(name=name, allowed=limit, seen="not measured often enough", state="inconclusive")
    change, low, high = _interval(candidate.around(candidate.value), baseline.around(baseline.value))
    low += math.log(candidate.low / candidate.value) - math.log(baseline.high / baseline.value)
    high += math.log(candidate.high / candidate.value) - math.log(baseline.low / baseline.value)
    means = f"{candidate.value:.4g} against {baseline.value:.4g}"
    exact = "" if candidate.exact and baseline.exact else ", between two loads that were measured"
    return _ratio(name, limit, means + exact, (change, low, high), allowed, 1)


def _interval(candidate: Sequence[float], baseline: Sequence[float]) -> tuple[float, float, float]:
    """Return the difference of two means of logarithms, and the ends of Welch's 90% interval."""
    from scipy.stats import ttest_ind

    change = math.fsum(candidate) / len(candidate) - math.fsum(baseline) / len(baseline)
    if len({*candidate}) == 1 and len({*baseline}) == 1:
        return change, change, change
    bounds = ttest_ind(candidate, baseline, equal_var=False).confidence_interval(0.9)
    return change, float(bounds.low), float(bounds.high)


def _ratio(
    name: str, limit: str, means: str, found: tuple[float, float, float], allowed: float, worse: int
) -> Check:  # fmt: skip
    change, low, high = found
    seen = f"{math.expm1(change):+.1%} ({math.expm1(low):+.1%} to {math.expm1(high):+.1%}): {means}"
    tolerated = math.log1p(allowed) if worse > 0 else -math.log1p(-allowed)
    most, least = (high, low) if worse > 0 else (-low, -high)
    return Check(name=name, allowed=limit, seen=seen, state=_state(most, least, tolerated))


def _state(most: float, least: float, allowed: float) -> State:
    """Judge a loss of which the interval `least` to `most` is known."""
    if most <= allowed:
        return "pass"
    return "fail" if least > allowed else "inconclusive"
