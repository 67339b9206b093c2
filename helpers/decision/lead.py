"""Is one version's lead over another beyond what chance explains?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from helpers.comparison import Standing
from helpers.decision.ranking import Weights
from helpers.statistics import Paired


class Estimate(NamedTuple):
    """A figure, the variance of its error, and the degrees of freedom of that variance."""

    value: float
    variance: float = 0.0
    freedom: float = math.inf


def quality(paired: Paired, weight: float) -> Estimate:
    """Return `weight` times the logarithm of how many times more questions the first answers correctly.

    Its variance is (b + c) / (right of the first * right of the second), by the delta method (Nam and Blackwelder
    2002, Statistics in Medicine 21:689-699), with half a question more in each of b and c: no flip is no proof.
    """
    first, second = paired.both + paired.only_first + 0.5, paired.both + paired.only_second + 0.5
    return Estimate(weight * math.log(first / second), weight**2 * (paired.flips + 1) / (first * second))


def speed(row: Standing, weights: Weights, hourly: float | None, ceiling: bool = False) -> Estimate | None:
    """Return how low latency and cost are, as weighted logarithms over the repeats; None where noise is not known.

    A weight of 0 leaves its figure out. With `ceiling` the cost is that of the next load that the version was seen to
    miss: how much of the way there it would have managed is not known. None where no load was too much for it.
    """
    _, latency, cost = weights
    parts: list[Sequence[float]] = []
    if latency:
        parts.append([-latency * math.log(value) for value in row.repeats.get("ttft_p95_ms", ())])
    if cost and hourly:
        rates = row.repeats.get("requests_per_second", ())
        if ceiling:
            rates = (row.next_load,) * len(rates) if row.next_load else ()
        parts.append([cost * math.log(rate / hourly) for rate in rates])
    totals = [math.fsum(together) for together in zip(*parts, strict=False)]
    return _mean(totals) if parts else Estimate(0.0)


def _mean(values: Sequence[float]) -> Estimate | None:
    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)
    spread = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return Estimate(mean, spread / len(values), len(values) - 1)


def is_beyond_noise(plus: Sequence[Estimate], minus: Sequence[Estimate], confidence: float) -> bool:
    """Return whether the sum of `plus` less that of `minus` is above zero, by Welch's test of independent figures.

    Several others need no correction: a wrong version is called only where it beats all, the truly best among them
    (intersection-union test, Berger 1982, Technometrics 24:295-300).
    """
    from scipy.stats import t

    lead = math.fsum(each.value for each in plus) - math.fsum(each.value for each in minus)
    variances = [(each.variance, each.freedom) for each in (*plus, *minus) if each.variance]
    total = math.fsum(variance for variance, _ in variances)
    if not total:
        return lead > 0
    freedom = total**2 / (math.fsum(v**2 / f for v, f in variances) or math.ulp(0.0))
    return lead > float(t.ppf(0.5 + confidence / 2, min(freedom, 1e9))) * math.sqrt(total)
