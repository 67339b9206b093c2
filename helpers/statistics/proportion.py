"""One share, or one mean of scores, by itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from helpers.artifacts import Interval
from helpers.statistics.difference import CACHED
from helpers.statistics.resampled import resampled


@lru_cache(maxsize=CACHED)
def wilson(correct: int, n: int, confidence: float = 0.95) -> Interval:
    """Return Wilson's score interval for a share (Wilson 1927, scipy's `proportion_ci`); n must be at least 1."""
    from scipy.stats import binomtest

    bounds = binomtest(correct, n).proportion_ci(confidence_level=confidence, method="wilson")
    return Interval(low=float(bounds.low), high=float(bounds.high), confidence=confidence, method="wilson")


def above_chance(scores: Sequence[float], chance: float) -> float:
    """Return the one-sided p-value against the score being `chance` or less, which guessing reaches.

    The exact binomial test where each score is 0 or 1, otherwise a bootstrap.
    """
    from scipy.stats import binomtest

    if all(score in (0, 1) for score in scores):
        return float(binomtest(int(sum(scores)), len(scores), chance, alternative="greater").pvalue)
    return resampled(scores).above(chance)


def mean_of_scores(scores: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return the interval of a mean of scores between 0 and 1; Wilson's where each is 0 or 1, of which one suffices."""
    if len(scores) == 1 or all(score in (0, 1) for score in scores):
        return wilson(round(sum(scores)), len(scores), confidence)
    found = resampled(scores).interval(confidence)
    return found.model_copy(update={"low": max(found.low, 0.0)})
