"""The noise between repeated measurements of the same thing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Self

from helpers.artifacts import Interval


class Estimate(NamedTuple):
    """A figure, the variance of its error, and the degrees of freedom of that variance."""

    value: float
    variance: float = 0.0
    freedom: float = math.inf

    @classmethod
    def of(cls, values: Sequence[float]) -> Self | None:
        """Return the mean of independent repeats, None for fewer than two."""
        if len(values) < 2:
            return None
        mean = math.fsum(values) / len(values)
        spread = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
        return cls(mean, spread / len(values), len(values) - 1)


def lead(plus: Sequence[Estimate], minus: Sequence[Estimate] = ()) -> Estimate:
    """Return the sum of `plus` less that of `minus`, of independent figures (degrees of freedom: Satterthwaite)."""
    value = math.fsum(each.value for each in plus) - math.fsum(each.value for each in minus)
    known = [(each.variance, each.freedom) for each in (*plus, *minus) if each.variance]
    total = math.fsum(variance for variance, _ in known)
    uncertain = math.fsum(variance**2 / freedom for variance, freedom in known)
    return Estimate(value, total, total**2 / uncertain if uncertain else math.inf)


def half_width(found: Estimate, confidence: float = 0.95) -> float:
    """Return half of the two-sided interval of a figure."""
    from scipy.stats import t

    return float(t.ppf(0.5 + confidence / 2, min(found.freedom, 1e9))) * math.sqrt(found.variance)


def p_value(found: Estimate) -> float:
    """Return the two-sided p-value of the figure being 0; without any noise 0 or 1."""
    from scipy.stats import t

    if not found.variance:
        return float(found.value == 0)
    return float(2 * t.sf(abs(found.value) / math.sqrt(found.variance), min(found.freedom, 1e9)))


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval | None:
    """Return Student's interval of the mean of independent repeats, None for fewer than two.

    What varies is whole measurements: the number of requests within one says nothing about the next one.
    """
    found = Estimate.of(values)
    if found is None:
        return None
    half = half_width(found, confidence)
    return Interval(low=found.value - half, high=found.value + half, confidence=confidence, method="student")
