"""What a number of questions can show, and how many would be needed."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from helpers.statistics.difference import CACHED, normal_quantile

POWER = 0.8  # how often a real difference of that size is to be seen


def power(n: int, flips: float, difference: float, confidence: float = 0.95) -> float:
    """Return how often the exact McNemar test calls the first better, where it is.

    `flips` is the share of questions on which the two really differ, `difference` the first's share of right answers
    minus the second's, at most `flips`. Exact: summed over how many of the n questions turn out to be flips.
    """
    from numpy import where
    from scipy.stats import binom

    seen, critical = _critical(n, confidence)
    shown = binom.sf(seen - critical - 1, seen, (flips + difference) / (2 * flips))
    return float((binom.pmf(seen, n, flips) * where(critical < 0, 0.0, shown)).sum())


@lru_cache(maxsize=64)
def _critical(n: int, confidence: float) -> tuple[Any, Any]:
    """Return every possible number of flips, and for each the most that the second may win where the first is shown."""
    from numpy import arange, where
    from scipy.stats import binom

    seen, tail = arange(n + 1), (1 - confidence) / 2
    critical = binom.ppf(tail, seen, 0.5)
    return seen, where(binom.cdf(critical, seen, 0.5) > tail, critical - 1, critical)


@lru_cache(maxsize=CACHED)
def detectable(n: int, flips: float, confidence: float = 0.95, wanted: float = POWER) -> float | None:
    """Return the smallest real difference that n questions would show with probability `wanted`, None where none is.

    `flips` is the share of questions on which the two differ; a difference larger than that takes more flips.
    """
    from scipy.optimize import brentq

    def missing(difference: float) -> float:
        return power(n, max(flips, difference), difference, confidence) - wanted

    return float(brentq(missing, 1e-9, 1.0, xtol=1e-6)) if missing(1.0) >= 0 else None


@lru_cache(maxsize=CACHED)
def questions_to_settle(
    only_first: int, only_second: int, n: int, confidence: float = 0.95, wanted: float = POWER, effect: float = 1.0
) -> int | None:
    """Return how many questions in all would show the difference seen here, if it is real; None where none is seen.

    `effect` is the design effect of questions in clusters: it takes as many times more, in as many times more clusters.

    Connor (1987), Biometrics 43:207-211, for paired proportions, with p = only_first / n and q = only_second / n:
    n = (z(1 - alpha/2) * sqrt(p + q) + z(wanted) * sqrt(p + q - (p - q)^2))^2 / (p - q)^2.
    """
    discordant, difference = (only_first + only_second) / n, (only_first - only_second) / n
    if not difference:
        return None
    error, reach = normal_quantile(0.5 + confidence / 2), normal_quantile(wanted)
    needed = (error * math.sqrt(discordant) + reach * math.sqrt(discordant - difference**2)) ** 2 / difference**2
    return max(math.ceil(needed * effect), n + 1)


def of_means(difference: float, error: float, n: int, confidence: float = 0.95) -> tuple[float, int | None]:
    """Return the smallest difference of two means that n questions show, and how many show the one that was seen.

    With `error` as the standard error of the difference on n questions: (z(1 - alpha/2) + z(POWER)) * error.
    """
    reach = (normal_quantile(0.5 + confidence / 2) + normal_quantile(POWER)) * error
    return reach, max(math.ceil(n * (reach / difference) ** 2), n + 1) if difference else None


def questions_within(error: float, n: int, tolerance: float, confidence: float = 0.9) -> int | None:
    """Return how many questions exclude a loss beyond `tolerance` with POWER, where nothing is lost; None for 0.

    With `error` as the standard error of the difference on n questions: n * ((z(confidence) + z(POWER)) * error /
    tolerance)^2, which is 6.18 * share of flips / tolerance^2 at the upper end of a 90% interval. Nam (1997),
    Biometrics 53:1422-1430, for paired proportions.
    """
    reach = normal_quantile(0.5 + confidence / 2) + normal_quantile(POWER)
    return math.ceil(n * (reach * error / tolerance) ** 2) if tolerance else None


def questions_above(share: float, n: int, chance: float, confidence: float = 0.95) -> int | None:
    """Return how many more questions would show that a share seen on n of them is above chance; None where none do.

    The normal approximation of the one-sided test, to be seen with POWER: Fleiss, Levin and Paik (2003), section 2.5.
    """
    if share <= chance:
        return None
    error, reach = normal_quantile(confidence), normal_quantile(POWER)
    spread = error * math.sqrt(chance * (1 - chance)) + reach * math.sqrt(share * (1 - share))
    return max(math.ceil((spread / (share - chance)) ** 2) - n, 1)
