"""One figure of a candidate against its baseline: no worse, worse, or not known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Literal

from helpers.analysis.comparison.common_load import AtLoad, other_sessions, pooled
from helpers.artifacts import Contract
from helpers.statistics import Estimate, Paired, half_width, lead, questions_within

State = Literal["pass", "fail", "inconclusive"]
BY_TUNING = " by tuning"  # behind the name of what tuning has to reach


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


def gain(name: str, pair: Paired, wanted: float) -> Check:
    """Superiority, or below 0 non-inferiority, over what the candidate, which is the first, was tuned from."""
    bounds = pair.interval
    seen = f"{pair.difference:+.3f} ({bounds.low:+.3f} to {bounds.high:+.3f}), {pair.n} questions, {pair.flips} flips"
    state: State = "pass" if bounds.low > wanted else "fail" if bounds.high <= wanted else "inconclusive"
    return Check(name=f"{name}{BY_TUNING}", allowed=gaining(wanted), seen=seen, state=state)


def gaining(wanted: float) -> str:
    """Return what tuning has to do for a score."""
    return f"more than {wanted:g} gained" if wanted >= 0 else f"less than {-wanted:g} lost"


def speed(
    name: str, candidate: Sequence[Sequence[float]], baseline: Sequence[Sequence[float]], allowed: float, worse: int
) -> Check:
    """The ratio of two means of measurements, by Welch's interval of the logarithms; a sequence for each session.

    `worse` is 1 where more is worse, else -1. One measurement knows no noise: that is inconclusive, whatever the ratio.
    """
    limit = f"at most {allowed:.0%} {'more' if worse > 0 else 'less'}"
    values = pooled(candidate), pooled(baseline)
    if min(map(len, values)) < 2 or min(map(min, values)) <= 0:
        return _not_known(name, limit)
    mine, theirs = (
        [*filter(None, [Estimate.of([math.log(value) for value in each])]), other_sessions(len(measured))]
        for each, measured in zip(values, (candidate, baseline), strict=True)
    )
    means = f"{fmean(values[0]):.4g} against {fmean(values[1]):.4g}"
    return _ratio(name, limit, means, (mine, theirs), (0.0, 0.0), allowed, worse)


def latency(name: str, candidate: AtLoad | None, baseline: AtLoad | None, load: float, allowed: float) -> Check:
    """The ratio of two latencies at one load (requests/s), no nearer than interpolation between loads leaves open."""
    limit = f"at most {allowed:.0%} more at {load:.2f} requests/s"
    if not (candidate and baseline and min(candidate.low, baseline.low) > 0):
        return _not_known(name, limit)
    mine, theirs = candidate.estimate(candidate.value), baseline.estimate(baseline.value)
    if not (mine and theirs):
        return _not_known(name, limit)
    open_ = (
        math.log(candidate.low / candidate.value) - math.log(baseline.high / baseline.value),
        math.log(candidate.high / candidate.value) - math.log(baseline.low / baseline.value),
    )
    means = f"{candidate.value:.4g} against {baseline.value:.4g}"
    exact = "" if candidate.exact and baseline.exact else ", between two loads that were measured"
    return _ratio(name, limit, means + exact, (mine, theirs), open_, allowed, 1)


def _not_known(name: str, limit: str) -> Check:
    return Check(name=name, allowed=limit, seen="not measured often enough", state="inconclusive")


def _ratio(
    name: str,
    limit: str,
    means: str,
    both: tuple[Sequence[Estimate], Sequence[Estimate]],
    open_: tuple[float, float],
    allowed: float,
    worse: int,
) -> Check:
    """Judge a ratio by the 90% interval of its logarithm, which interpolation leaves open by as much at either end.

    What is within the tolerance is so in these sessions; it is beyond only where another start of the servers would
    not change that.
    """
    tolerated = math.log1p(allowed) if worse > 0 else -math.log1p(-allowed)

    def judged(parts: slice) -> tuple[State, float, float, float]:
        found = lead(both[0][parts], both[1][parts])
        half = half_width(found, 0.9)
        low, high = found.value - half + open_[0], found.value + half + open_[1]
        most, least = (high, low) if worse > 0 else (-low, -high)
        return _state(most, least, tolerated), found.value, low, high

    state, change, low, high = judged(slice(1))
    seen = f"{math.expm1(change):+.1%} ({math.expm1(low):+.1%} to {math.expm1(high):+.1%}): {means}"
    if state == "fail" and judged(slice(None))[0] != "fail":
        state = "inconclusive"
        seen += "; another start of the server may change as much: measure again with FRESH=true"
    return Check(name=name, allowed=limit, seen=seen, state=state)


def _state(most: float, least: float, allowed: float) -> State:
    """Judge a loss of which the interval `least` to `most` is known."""
    if most <= allowed:
        return "pass"
    return "fail" if least > allowed else "inconclusive"
