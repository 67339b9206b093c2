"""The interval of the difference between two shares that were measured on the same questions."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

from helpers.artifacts import Interval

EDGE = 1e-12
CACHED = 1 << 16  # many pairs of versions share a few hundred counts


@lru_cache(maxsize=CACHED)
def normal_quantile(share: float) -> float:
    """Return where the standard normal distribution has `share` of its weight below."""
    from scipy.stats import norm

    return float(norm.ppf(share))


@lru_cache(maxsize=CACHED)
def difference_interval(only_first: float, only_second: float, n: float, confidence: float = 0.95) -> Interval:
    """Return the score interval for the first share minus the second (Tango 1998, Statistics in Medicine 17:891-908).

    It holds those differences that the score test does not reject, so it stays sound for few flips, and for none.
    Counts need not be whole: those of questions in clusters are divided by their design effect.
    """
    seen, limit = (only_first - only_second) / n, normal_quantile(0.5 + confidence / 2)

    def distance(difference: float) -> float:
        return abs(score(only_first, only_second, n, difference)) - limit

    low, high = _root(distance, -1 + EDGE, seen), _root(distance, 1 - EDGE, seen)
    return Interval(low=low, high=high, confidence=confidence, method="tango")


def score(only_first: float, only_second: float, n: float, difference: float) -> float:
    """Return Tango's statistic, standard normal where the true difference is `difference`.

    (b - c - n d) / sqrt(n (2 q + d (1 - d))), with q the likeliest share of questions that only the second answers.
    """
    flips, gap = only_first + only_second, only_first - only_second
    linear = (2 * n - gap) * difference - flips
    constant = -only_second * difference * (1 - difference)
    q = (math.sqrt(max(linear**2 - 8 * n * constant, 0.0)) - linear) / (4 * n)
    variance = n * (2 * q + difference * (1 - difference))
    return (gap - n * difference) / math.sqrt(variance) if variance > EDGE else 0.0


def _root(distance: Callable[[float], float], end: float, seen: float) -> float:
    """Return where `distance` crosses zero between what was seen and an end of the scale, the end if it never does."""
    from scipy.optimize import brentq

    if abs(end - seen) < 2 * EDGE or distance(end) <= 0:
        return round(end)
    return float(brentq(distance, seen + math.copysign(EDGE, end - seen), end, xtol=1e-10))
