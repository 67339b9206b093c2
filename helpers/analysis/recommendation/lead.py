"""Is one version's lead over another beyond what chance explains?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from helpers.analysis.comparison import Standing
from helpers.analysis.comparison.common_load import LATENCIES
from helpers.analysis.recommendation.ranking import Weights, utility
from helpers.datasets.criteria import COST, kind
from helpers.statistics import Paired

# Better under a higher load, as far as the server bears it.
GROWING = ("requests_per_second", "output_tokens_per_second", "goodput", COST.partition(".")[2])


class Estimate(NamedTuple):
    """A figure, the variance of its error, and the degrees of freedom of that variance."""

    value: float
    variance: float = 0.0
    freedom: float = math.inf


def quality(paired: Paired, weight: float, chance: float) -> Estimate:
    """Return `weight` times the lead of the first in accuracy above chance; below chance nothing counts."""
    first, second = paired.means
    scale = weight / (1 - chance) if chance < 1 else 0.0
    return Estimate(scale * (first - max(second, chance)), (scale * paired.error) ** 2)


def speed(
    row: Standing,
    weights: Weights,
    hourly: float | None,
    best: Mapping[str, float],
    load: float | None,
    *,
    ceiling: bool = False,
) -> Estimate | None:
    """Return how good figures and cost are, weighted, over the repeats; None where noise is not known.

    Latencies are those at `load` (requests/s), no better than at the next higher load that was measured. A weight of 0
    leaves its line out. With `ceiling` latencies are no worse than at the next lower load, and loads and cost are those
    of the next load that the version was seen to miss: how much of the way there it would have managed is not known.
    None where no load was too much for it, or none as low was measured.
    """
    parts = [
        [weight * utility(value, best[line], line) for value in _values(line, row, hourly, load, ceiling)]
        for line, weight in weights.items()
        if weight and kind(line) != "evaluation" and not (line == COST and not hourly)
    ]
    totals = [math.fsum(together) for together in zip(*parts, strict=False)]
    return _mean(totals) if parts else Estimate(0.0)


def _values(line: str, row: Standing, hourly: float | None, load: float | None, ceiling: bool) -> Sequence[float]:
    """Return a line's values, one for each repeat."""
    metric, rates = line.partition(".")[2], row.repeats.get("requests_per_second", ())
    if metric in LATENCIES:
        there = row.at(load).get(metric)
        return [math.exp(each) for each in there.around(there.low if ceiling else there.high)] if there else ()
    values = row.repeats.get(metric, ()) if line != COST else [(hourly or 0.0) / 3.6 / rate for rate in rates]
    if not ceiling or metric not in GROWING:
        return values
    if not row.next_load:
        return ()
    grown = [row.next_load / rate for rate in rates]
    return [value / by if line == COST else value * by for value, by in zip(values, grown, strict=False)]


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
