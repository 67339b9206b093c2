"""The interval of one share."""

from __future__ import annotations

from functools import lru_cache

from helpers.artifacts import Interval
from helpers.statistics.difference import CACHED


@lru_cache(maxsize=CACHED)
def wilson(correct: int, n: int, confidence: float = 0.95) -> Interval:
    """Return Wilson's score interval for a share (Wilson 1927, scipy's `proportion_ci`); n must be at least 1."""
    from scipy.stats import binomtest

    bounds = binomtest(correct, n).proportion_ci(confidence_level=confidence, method="wilson")
    return Interval(low=float(bounds.low), high=float(bounds.high), confidence=confidence, method="wilson")
