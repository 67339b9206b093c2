"""One figure of a candidate against its baseline: no worse, worse, or not known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Literal

from helpers.artifacts import Contract
from helpers.statistics import Paired

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
    return Check(name=name, allowed=f"at most {allowed:g} lost", seen=seen, state=state)


def speed(name: str, candidate: Sequence[float], baseline: Sequence[float], allowed: float, worse: int) -> Check:
    """The ratio of two means of measurements, by Welch's interval of the logarithms.

    `worse` is 1 where more is worse, else -1. One measurement knows no noise: that is inconclusive, whatever the ratio.
    """
    from scipy.stats import ttest_ind

    limit = f"at most {allowed:.0%} {'more' if worse > 0 else 'less'}"
    if min(len(candidate), len(baseline)) < 2 or min(*candidate, *baseline) <= 0:
        return Check(name=name, allowed=limit, seen="not measured often enough", state="inconclusive")
    logs = [math.log(value) for value in candidate], [math.log(value) for value in baseline]
    low = high = change = math.fsum(logs[0]) / len(logs[0]) - math.fsum(logs[1]) / len(logs[1])
    if len({*logs[0]}) > 1 or len({*logs[1]}) > 1:
        bounds = ttest_ind(*logs, equal_var=False).confidence_interval(0.9)
        low, high = float(bounds.low), float(bounds.high)
    seen = f"{math.expm1(change):+.1%} ({math.expm1(low):+.1%} to {math.expm1(high):+.1%}): "
    seen += f"{fmean(candidate):.4g} against {fmean(baseline):.4g}"
    tolerated = math.log1p(allowed) if worse > 0 else -math.log1p(-allowed)
    most, least = (high, low) if worse > 0 else (-low, -high)
    return Check(name=name, allowed=limit, seen=seen, state=_state(most, least, tolerated))


def _state(most: float, least: float, allowed: float) -> State:
    """Judge a loss of which the interval `least` to `most` is known."""
    if most <= allowed:
        return "pass"
    return "fail" if least > allowed else "inconclusive"
