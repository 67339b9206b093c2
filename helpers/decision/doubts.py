"""Why the version that ranks first might not be the best one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from helpers.comparison import MOST, Comparison, Pair, Standing
from helpers.decision.contract import Option
from helpers.decision.lead import is_beyond_noise, quality, speed
from helpers.decision.prices import PriceList
from helpers.decision.ranking import Weights
from helpers.statistics import Paired

ACCURACY = {"worse": "is shown to be more accurate", "inconclusive": "is not shown to be less accurate"}
UNLIKE = {"workload": "workload", "slo": "SLO"}


@dataclass(frozen=True)
class Evidence:
    """What doubts are drawn from; a weight is 0 where its criterion says nothing about these versions."""

    comparison: Comparison
    prices: PriceList
    weights: Weights

    @cached_property
    def rows(self) -> dict[str, Standing]:
        """The figures of each version."""
        return {row.label: row for row in self.comparison.standings}

    @cached_property
    def pairs(self) -> dict[frozenset[str], Pair]:
        """Every two versions."""
        return {frozenset((pair.first, pair.second)): pair for pair in self.comparison.pairs}

    def paired(self, first: str, other: str) -> Paired:
        """Two versions on the same questions, about `first`."""
        pair = self.pairs[frozenset((first, other))]
        if pair.first == first:
            return pair.paired
        found = pair.paired
        turned = {"only_first": found.only_second, "only_second": found.only_first, "verdict": found.mirrored}
        return found.model_copy(update=turned)

    def hourly(self, row: Standing) -> float | None:
        """What the hardware of a version costs in an hour."""
        return self.prices.hourly(row.hardware_type, row.hardware_count)


def doubts(first: Option, others: Sequence[Option], missing: Sequence[Option], known: Evidence) -> list[str]:
    """Return in words why `first` might not be the best; `missing` are the versions that miss a gate."""
    own = [
        f"its {gate.tier} gate is met by less than the uncertainty" for gate in first.gates if gate.state == "unsure"
    ]
    ahead = [doubt for other in others if (doubt := _between(first.label, other.label, known))]
    narrow = [each for each in missing if all(gate.narrow for gate in each.gates if gate.state == "missed")]
    kept_out = [
        f"{each.label} misses a gate by less than the uncertainty"
        for each in narrow
        if _between(first.label, each.label, known)
    ]
    return [*own, *_few(ahead), *_few(kept_out)]


def _few(told: Sequence[str]) -> list[str]:
    """Return the doubts about a few versions, and how many more there are: nobody reads two hundred."""
    shown = told if len(told) <= MOST else told[:3]
    return [*shown, *([f"{len(told) - 3} more versions are in doubt too"] if len(shown) < len(told) else [])]


def _between(first: str, other: str, known: Evidence) -> str | None:
    """Return why `other` might be the better one, None where a test rules that out."""
    paired, accuracy_counts = known.paired(first, other), bool(known.weights[0])
    if accuracy_counts and paired.verdict in ACCURACY:
        return f"{other} {ACCURACY[paired.verdict]}"
    if not any(known.weights[1:]):
        return None
    mine, theirs = known.rows[first], known.rows[other]
    plus = speed(mine, known.weights, known.hourly(mine))
    minus = speed(theirs, known.weights, known.hourly(theirs), ceiling=True)
    if plus is None or minus is None or _unlike(mine, theirs):
        return _unlike(mine, theirs) or _unknown(mine, theirs)
    better = accuracy_counts and paired.verdict == "better"
    lead = [plus, quality(paired, known.weights[0])] if better else [plus]
    if is_beyond_noise(lead, [minus], paired.confidence):
        return None
    if better:
        return f"for these weights the speed and cost of {other} may outweigh its lower accuracy"
    alike = "is equivalent in accuracy and " if accuracy_counts else "is "
    return f"{other} {alike}not shown to be slower or dearer"


def _unlike(mine: Standing, theirs: Standing) -> str:
    """Return why the speeds cannot be held against each other, "" where they can."""
    for name, shown in UNLIKE.items():
        if getattr(mine, name) != getattr(theirs, name):
            return f"the speed of {theirs.label} was measured under another {shown}"
    limited = [row.label for row in (mine, theirs) if row.limited_by_load_generator]
    return f"the load generator limited {' and '.join(limited)}" if limited else ""


def _unknown(mine: Standing, theirs: Standing) -> str:
    """Return what is not known about a speed."""
    once = [row.label for row in (mine, theirs) if len(row.repeats.get("requests_per_second", ())) < 2]
    if once:
        return f"the speed of {' and '.join(once)} was not repeated, so that its noise is not known"
    return f"no load was too much for {theirs.label}, so that it may cost less"
