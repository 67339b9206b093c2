"""Why the version that ranks first might not be the best one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from helpers.analysis.comparison import Comparison, Pair, Standing
from helpers.analysis.comparison.verdict import short
from helpers.analysis.recommendation.contract import Doubt, Option
from helpers.analysis.recommendation.lead import is_beyond_noise, quality, speed
from helpers.analysis.recommendation.prices import PriceList
from helpers.analysis.recommendation.ranking import Weights, best_of
from helpers.datasets.criteria import kind
from helpers.statistics import Paired

UNLIKE = {"workload": "workload", "slo": "SLO"}


@dataclass(frozen=True)
class Evidence:
    """What doubts are drawn from; a weight is 0 where its line says nothing about these versions."""

    comparison: Comparison
    prices: PriceList
    weights: Weights
    best: Mapping[str, float]
    load: float | None = None  # requests/s, at which latencies are compared

    @property
    def quality(self) -> float:
        """How much the score counts."""
        return sum(weight for line, weight in self.weights.items() if kind(line) == "evaluation")

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
        turned = {"means": found.means[::-1], "difference": -found.difference, "verdict": found.mirrored}
        return found.model_copy(update=turned)

    def hourly(self, row: Standing) -> float | None:
        """What the hardware of a version costs in an hour."""
        return self.prices.hourly(row.hardware_type, row.hardware_count)


def doubts(first: Option, others: Sequence[Option], missing: Sequence[Option], known: Evidence) -> list[Doubt]:
    """Return why `first` might not be the best, what matters most first; `missing` are versions that miss a gate."""
    row = known.rows[first.label]
    found = [Doubt(kind="partial", about=first.label, text=f"this is only {row.partial}")] if row.partial else []
    for gate in first.gates:
        if gate.state == "unsure":
            found.append(Doubt(kind="must-have", about=first.label, text=gate.doubt))
    found += [doubt for other in others if (doubt := _between(first.label, other.label, known))]
    found += _kept_out(first, others, missing, known)
    if row.unverified:
        text = f"it is not verified which model answers as {short(first.label)}"
        text += ", and what guessing scores is not known" if row.chance is None else ""
        found.append(Doubt(kind="unverified", about=first.label, text=text))
    return found


def _kept_out(first: Option, others: Sequence[Option], missing: Sequence[Option], known: Evidence) -> Iterator[Doubt]:
    """Yield the versions that chance may have kept out, and that may be better."""
    for each in missing:
        # As if it were one of those that are ranked: no figure outweighs more than its weight.
        best = {line: best_of([first, *others, each], line) for line in known.best}
        beside = replace(known, best=best)
        if all(gate.narrow for gate in each.missed) and _between(first.label, each.label, beside):
            asked = " and ".join(gate.asked for gate in each.missed)
            text = f"{short(each.label)} may be as good; it misses a must-have by little ({asked})"
            yield Doubt(kind="kept out", about=each.label, text=text)


def _between(first: str, other: str, known: Evidence) -> Doubt | None:
    """Return why `other` might be the better one, None where a test rules that out."""
    paired, accuracy_counts, name = known.paired(first, other), known.quality > 0, short(other)
    if accuracy_counts and paired.verdict == "worse":
        return Doubt(kind="trade", about=other, text=f"{name} is more accurate, and slower or dearer: weigh that")
    if accuracy_counts and paired.verdict == "inconclusive":
        settle = paired.questions_to_settle
        text = f"{name} may be as accurate; these questions cannot tell"
        return Doubt(kind="accuracy", about=other, text=text, more_questions=settle and settle - paired.n)
    if not any(weight for line, weight in known.weights.items() if kind(line) != "evaluation"):
        return None
    mine, theirs = known.rows[first], known.rows[other]
    plus = speed(mine, known.weights, known.hourly(mine), known.best, known.load)
    minus = speed(theirs, known.weights, known.hourly(theirs), known.best, known.load, ceiling=True)
    if not plus or not minus or _unlike(mine, theirs):
        return Doubt(kind="speed", about=other, text=_unlike(mine, theirs) or _unknown(mine, theirs))
    better = accuracy_counts and paired.verdict == "better"
    ahead = [quality(paired, known.quality, mine.chance or 0.0)] if better else []
    if is_beyond_noise([*ahead, *plus], minus, paired.confidence):
        return None
    if better:
        return Doubt(kind="trade", about=other, text=f"speed or cost of {name} may make up for its lower accuracy")
    if is_beyond_noise([*ahead, *plus[:1]], minus[:1], paired.confidence):
        text = f"{name} was slower or dearer in this session; another one may differ, so measure again (FRESH=true)"
        return Doubt(kind="session", about=other, text=text)
    alike = "as accurate, and may be" if accuracy_counts else "perhaps"
    return Doubt(kind="speed", about=other, text=f"{name} is {alike} as quick and as cheap")


def _unlike(mine: Standing, theirs: Standing) -> str:
    """Return why the speeds cannot be held against each other, "" where they can."""
    for name, shown in UNLIKE.items():
        if getattr(mine, name) != getattr(theirs, name):
            return f"the speed of {short(theirs.label)} was measured under another {shown}"
    limited = [short(row.label) for row in (mine, theirs) if row.limited_by_load_generator]
    return f"the load generator limited {' and '.join(limited)}" if limited else ""


def _unknown(mine: Standing, theirs: Standing) -> str:
    """Return what is not known about a speed."""
    once = [short(row.label) for row in (mine, theirs) if len(row.repeats.get("requests_per_second", ())) < 2]
    if once:
        return f"the speed of {' and '.join(once)} was measured only once"
    if theirs.next_load:
        return f"the speed of {short(theirs.label)} was not measured at a load as low"
    return f"no load was too much for {short(theirs.label)}, so it may cost less"
