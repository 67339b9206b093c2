"""One share, or one mean of scores, by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from helpers.artifacts import Interval
from helpers.statistics.clusters import design_effect
from helpers.statistics.difference import CACHED, normal_quantile
from helpers.statistics.resampled import resampled


@lru_cache(maxsize=CACHED)
def wilson(correct: float, n: float, confidence: float = 0.95) -> Interval:
    """Return Wilson's score interval for a share (Wilson 1927); n must be at least 1, and need not be whole."""
    z, share = normal_quantile(0.5 + confidence / 2), correct / n
    centre, shrunk = share + z**2 / (2 * n), 1 + z**2 / n
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low = 0.0 if correct <= 0 else (centre - half) / shrunk
    high = 1.0 if correct >= n else (centre + half) / shrunk
    return Interval(low=low, high=high, confidence=confidence, method="wilson")


def share_above(correct: float, n: float, chance: float) -> float:
    """Return the one-sided exact binomial p-value against a share of `chance` or less; counts need not be whole."""
    from scipy.special import betainc

    return float(betainc(correct, n - correct + 1, chance)) if correct else 1.0


def above_chance(scores: Sequence[float], chance: float, clusters: Sequence[str] = ()) -> float:
    """Return the one-sided p-value against the score being `chance` or less, which guessing reaches.

    The exact binomial test where each score is 0 or 1, otherwise a bootstrap. `clusters` names each score's; the test
    is then that of n / design effect questions.
    """
    effect = design_effect(scores, clusters)
    if all(score in (0, 1) for score in scores):
        return share_above(sum(scores) / effect, len(scores) / effect, chance)
    return resampled(scores, effect).above(chance)


def mean_of_scores(scores: Sequence[float], confidence: float = 0.95, clusters: Sequence[str] = ()) -> Interval:
    """Return the interval of a mean of scores between 0 and 1; Wilson's where each is 0 or 1, of which one suffices.

    `clusters` names each score's; the interval is then that of n / design effect questions.
    """
    effect = design_effect(scores, clusters)
    if len(scores) == 1 or all(score in (0, 1) for score in scores):
        return wilson(sum(scores) / effect, len(scores) / effect, confidence)
    found = resampled(scores, effect).interval(confidence)
    return found.model_copy(update={"low": max(found.low, 0.0)})
