"""The noise between repeated measurements of the same thing."""

from __future__ import annotations

import math
from collections.abc import Sequence

from helpers.artifacts import Interval


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval | None:
    """Return Student's interval of the mean of independent repeats, None for fewer than two.

    What varies is whole measurements: the number of requests within one says nothing about the next one.
    """
    from scipy.stats import t

    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
    half = float(t.ppf(0.5 + confidence / 2, len(values) - 1)) * spread / math.sqrt(len(values))
    return Interval(low=mean - half, high=mean + half, confidence=confidence, method="student")


def welch(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return Welch's two-sided p-value for a difference of two means, None for fewer than two repeats of either."""
    from scipy.stats import ttest_ind

    if min(len(first), len(second)) < 2:
        return None
    if len({*first}) == len({*second}) == 1:  # no noise at all leaves nothing to divide by
        return 1.0 if first[0] == second[0] else 0.0
    return float(ttest_ind(first, second, equal_var=False).pvalue)
