"""Is one version's lead over another beyond what chance explains?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from helpers.analysis.comparison import Standing
from helpers.analysis.comparison.common_load import LATENCIES, other_sessions
from helpers.analysis.recommendation.ranking import Weights, utility
from helpers.datasets.criteria import COST, better, kind
from helpers.statistics import Estimate, Paired, half_width, lead

# Better under a higher load, as far as the server bears it.
GROWING = ("requests_per_second", "output_tokens_per_second", "goodput", COST.partition(".")[2])


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
) -> list[Estimate]:
    """Return how good figures and cost are, weighted, over the repeats, and what another session may change.

    Nothing where noise is not known.

    Latencies are those at `load` (requests/s), no better than at the next higher load that was measured. A weight of 0
    leaves its line out. With `ceiling` latencies are no worse than at the next lower load, and loads and cost are those
    of the next load that the version was seen to miss: how much of the way there it would have managed is not known.
    Nothing where no load was too much for it, or none as low was measured.
    """
    lines = [line for line in weights if weights[line] and kind(line) != "evaluation" and (line != COST or hourly)]
    values = {line: _values(line, row, hourly, load, ceiling) for line in lines}

    def totals(slower: float) -> list[float]:
        parts = [
            [weights[line] * utility(each * slower ** _sign(line), best[line], line) for each in found]
            for line, found in values.items()
        ]
        return [math.fsum(together) for together in zip(*parts, strict=False)]

    found = Estimate.of(totals(1.0)) if lines else Estimate(0.0)
    if found is None or not lines:
        return [found] if found else []
    noise = other_sessions(len(row.sessions)).variance
    slow, quick = (math.fsum(totals(math.exp(by))) / len(totals(1.0)) for by in (math.sqrt(noise), -math.sqrt(noise)))
    return [found, Estimate(0.0, ((quick - slow) / 2) ** 2)]


def _sign(line: str) -> int:
    """Whether a figure grows, 1, or falls, -1, where everything is slower."""
    return 1 if better(line) == "lower" else -1


def _values(line: str, row: Standing, hourly: float | None, load: float | None, ceiling: bool) -> Sequence[float]:
    """Return a line's values, one for each repeat."""
    metric, rates = line.partition(".")[2], row.values("requests_per_second")
    if metric in LATENCIES:
        there = row.at(load).get(metric)
        return [math.exp(each) for each in there.around(there.low if ceiling else there.high)] if there else ()
    values = row.values(metric) if line != COST else [(hourly or 0.0) / 3.6 / rate for rate in rates]
    if not ceiling or metric not in GROWING:
        return values
    if not row.next_load:
        return ()
    grown = [row.next_load / rate for rate in rates]
    return [value / by if line == COST else value * by for value, by in zip(values, grown, strict=False)]


def is_beyond_noise(plus: Sequence[Estimate], minus: Sequence[Estimate], confidence: float) -> bool:
    """Return whether the sum of `plus` less that of `minus` is above zero, by Welch's test of independent figures.

    Several others need no correction: a wrong version is called only where it beats all, the truly best among them
    (intersection-union test, Berger 1982, Technometrics 24:295-300).
    """
    found = lead(plus, minus)
    return found.value > half_width(found, confidence)
