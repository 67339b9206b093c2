"""The parts of a comparison, in order: the notebook shows each in a cell, the page all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from helpers.analysis.comparison import MOST, Comparison
from helpers.analysis.comparison.common_load import AtLoad
from helpers.analysis.comparison.requests import FirstTokens
from helpers.analysis.recommendation import Decision
from helpers.artifacts import Record
from helpers.datasets.criteria import kind
from helpers.reporting.page.rendering import render
from helpers.reporting.page.table import Table, folded
from helpers.reporting.page.tables import candidates, costs, differing, flips, more, without
from helpers.reporting.plots import comparison as plots
from helpers.reporting.plots.decision import at

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EVERY_PAIR = 4  # versions; of more the pairs with the recommended one fit on paper
ALONE = "n/a: there is one version only."
OF_LOADS = (
    *("Quality against latency", "Latency against throughput", "How long requests waited", "Capacity and cost"),
    "How the ranking changes with the weights",
)
NOT_KNOWN = {"cost": "not every version's hardware has a price", "load_test": "not every version has it"}


@dataclass(frozen=True)
class Found:
    """What there is to show: records are those of the versions that are shown, `waits` their requests."""

    comparison: Comparison
    decision: Decision
    records: Sequence[Record]
    waits: FirstTokens

    @property
    def names(self) -> str:
        """The versions that are shown."""
        return ", ".join(self.decision.shown)


@dataclass(frozen=True)
class Lines:
    """Sentences below each other, as a notebook's output."""

    lines: Sequence[str]

    def _repr_html_(self) -> str:
        return render("lines.html", lines=self.lines)

    def __repr__(self) -> str:
        return "\n".join(self.lines)


@dataclass(frozen=True)
class Section:
    """One part: how to read it, what it shows, and what there is to say about these versions.

    `alt` says what the figure shows to somebody who does not see it; `closed` is a table for those who want all of it.
    """

    title: str
    lead: str
    figure: Figure | None = None
    alt: str = ""
    table: Table | None = None
    closed: Table | None = None
    text: Sequence[str] = ()

    def _ipython_display_(self) -> None:
        """Show the part as the output of a notebook's cell, below the cell that holds title and lead."""
        from IPython.display import display

        closed = self.closed and folded(self.closed, self.closed.caption)
        for each in (self.figure, self.table, closed, Lines(self.text) if self.text else None):
            if each is not None:
                display(each)  # type: ignore[no-untyped-call]


class Sections(Mapping[str, Section]):
    """All parts by their titles, each drawn when it is asked for."""

    def __init__(
        self,
        comparison: Comparison,
        decision: Decision,
        records: Sequence[Record],
        waits: FirstTokens | None = None,
    ) -> None:
        self.found = Found(comparison, decision, records, waits or FirstTokens(runs={}))
        self._drawn: dict[str, Section] = {}

    def __getitem__(self, title: str) -> Section:
        """Return the part of that title. Raises KeyError where there is none."""
        if title not in self._drawn:
            lead, build = PARTS[title]
            self._drawn[title] = build(self.found, title, lead)
        return self._drawn[title]

    def __iter__(self) -> Iterator[str]:
        """Return the titles; without any load test none that is about speed."""
        loads = any(record.load_tests for record in self.found.records)
        return (title for title in PARTS if loads or title not in OF_LOADS)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _quality(found: Found, title: str, lead: str) -> Section:
    comparison, decision = found.comparison, found.decision
    seen = [row for row in comparison.standings if row.label in decision.shown]
    waits = {row.label: row.at(decision.common_load).get("ttft_p95_ms") for row in seen}
    points = [f"{row.label}: {row.accuracy:.2f} at {_ms(waits[row.label])}" for row in seen]
    return Section(
        title,
        lead,
        plots.accuracy_vs_latency(comparison, decision=decision),
        f"Accuracy against time to first token, p95{at(decision.common_load)}. " + "; ".join(points),
        candidates(comparison, decision),
        Table.of(
            plots.standings_table(comparison, decision.shown),
            "All figures of each version at its operating point",
            more(comparison, decision),
        ),
        [comparison.verdict, *_lineage(found.records)],
    )


def _lineage(records: Sequence[Record]) -> Iterator[str]:
    """Yield for each tuned version from which one it was tuned."""
    known = {record.selection.digest: record.label for record in records}
    for record in records:
        if record.parent:
            yield f"{record.label} was tuned from {known.get(record.parent, record.parent)}."


def _measurements(found: Found, title: str, lead: str) -> Section:
    figure = plots.workloads(found.comparison, found.decision.shown)
    table = Table.of(plots.tiers_table(found.comparison, found.decision.shown), "All tiers, with 95% intervals")
    alt = f"Score against time to first token of {found.names}, for each load test"
    left = found.comparison.not_measured
    return Section(title, lead, figure, alt, table, text=[f"Not measured: {', '.join(left)}."] if left else [])


def _tiers(found: Found, title: str, lead: str) -> Section:
    comparison, shown = found.comparison, found.decision.shown
    figure = plots.pyramid(comparison, shown)
    if figure is None:
        return Section(title, lead, text=["n/a: there is one evaluation only."])
    every = differing(comparison, shown)
    alt = f"Every share of every evaluation of {found.names}"
    return Section(title, lead, figure, alt, closed=every if every.rows else None)


def _throughput(found: Found, title: str, lead: str) -> Section:
    alt = f"Time to first token, p95, against requests/s of {found.names}"
    return Section(title, lead, plots.throughput_curves([each for each in found.records if each.load_tests]), alt)


def _waits(found: Found, title: str, lead: str) -> Section:
    missing = [f"{each.rstrip('.')}." for each in found.waits.missing]
    if not found.waits.runs:
        return Section(title, lead, text=[*missing, "n/a: no request's times could be read."])
    figure = plots.distributions(found.waits, found.comparison, found.decision.shown)
    return Section(title, lead, figure, f"Times to first token of {found.names}", text=missing)


def _categories(found: Found, title: str, lead: str) -> Section:
    figure, table = plots.categories(found.comparison, found.decision.shown), without(found.comparison)
    return Section(title, lead, figure, f"Accuracy by category of {found.names}", table)


def _flips(found: Found, title: str, lead: str) -> Section:
    comparison, decision = found.comparison, found.decision
    if len(comparison.standings) < 2:
        return Section(title, lead, text=[ALONE])
    everything = plots.flips_table(comparison, decision.shown)
    return Section(
        title,
        lead,
        plots.flips(comparison, shown=decision.shown),
        f"How many questions each of {found.names} answers that another one does not",
        flips(comparison, decision),
        Table.of(everything, f"All {len(everything)} questions on which they differ"),
    )


def _certainty(found: Found, title: str, lead: str) -> Section:
    comparison, decision = found.comparison, found.decision
    told = [doubt.text for doubt in decision.doubts]
    doubts = [*told[:MOST], *([f"{len(told) - MOST} more"] if told[MOST:] else [])]
    text = [f"Not sure: {'; '.join(doubts)}."] if doubts else []
    if len(comparison.standings) < 2:
        return Section(title, lead, text=[*text, ALONE])
    of_all, on_paper = (
        Table.of(plots.pairs_table(comparison, decision.recommended, decision.shown, most=most), caption)
        for most, caption in (
            (MOST, "The tests of all pairs"),
            (EVERY_PAIR, "Differences in accuracy, and their tests"),
        )
    )
    closed = of_all if len(of_all.rows) > len(on_paper.rows) else None
    return Section(title, lead, table=on_paper, closed=closed, text=[*text, *comparison.certainty])


def _costs(found: Found, title: str, lead: str) -> Section:
    decision = found.decision
    told = [f"Prices: {decision.prices}."]
    if decision.target_rate:
        rate, free = f"{decision.target_rate:g}", f"{decision.headroom:.0%}"
        told.append(f"Replicas for {rate} requests/s with {free} of each kept free.")
    else:
        told.append("No target rate was given, so costs an hour are those of one replica.")
    without = [line for line, weight in decision.counting.items() if not weight]
    told += [f"{line} does not count: {NOT_KNOWN[kind(line)]}." for line in without]
    closed = Table.of(plots.decision_table(decision), "All figures of capacity, cost and must-haves")
    return Section(title, lead, table=costs(decision), closed=closed, text=told)


def _weights(found: Found, title: str, lead: str) -> Section:
    figure = plots.weights(found.decision)
    return Section(title, lead, figure, f"Score of {found.names} for other weights")


def _ms(there: AtLoad | None) -> str:
    return "not known at that load" if there is None else f"{there.value:.0f} ms"


PARTS: dict[str, tuple[str, Callable[[Found, str, str], Section]]] = {
    "Quality against latency": (
        "Up and to the left is better. All latencies are at one load, the highest that every version which meets the "
        "must-haves carries within the SLO. The bars say how far a mark may be off: up and down by the choice of "
        "questions, left and right by noise between repeats and by interpolation between the loads that were measured. "
        "A hollow mark is a version that misses a must-have or that is no better in anything than another one; the "
        "dashed line joins the others. In the table, requests/s is the highest load of each version within the SLO.",
        _quality,
    ),
    "Every measurement": (
        "One row for each figure with its 95% interval, the base of the pyramid first, one column for each version. "
        "A star marks a version that is shown to be better than every other one; all tests of a tier are one family "
        "(Holm's correction). Of each measurement only those are held against each other that were asked the same.",
        _measurements,
    ),
    "Tier by tier": (
        "Every evaluation has a panel: its own score first, by which versions are tested, then its further figures, "
        "which explain the score and are not tested. A star marks a score in which one version is shown to be better "
        "than every other one. The rows on which versions differ stand below, to be read.",
        _tiers,
    ),
    "Latency against throughput": (
        "All versions in one plot. Where a curve turns up, that server is saturated; a ring marks the operating point.",
        _throughput,
    ),
    "How long requests waited": (
        "Each dot is one request at the operating point, from GuideLLM's raw report: two versions with the same "
        "percentile can feel very different.",
        _waits,
    ),
    "Accuracy by category": (
        "A mean hides on what a model fails. With few questions in a category the bars are wide; a star marks a "
        "category in which two versions differ by more than chance explains.",
        _categories,
    ),
    "Where they differ": (
        "Questions that one version answers correctly and another does not. Read some: they say more than a mean.",
        _flips,
    ),
    "How sure is this": (
        "Two versions are compared on the questions that both answered. The tests are for those who want to check: "
        "the exact McNemar test where an answer is right or wrong, a paired bootstrap where it has a score, with "
        "Holm's correction for several pairs. A difference smaller than “can show from” may be there, unseen. "
        "Questions of one topic are not independent: who knows one answer often knows the next. Where the task says "
        "which belong together, they are tested as clusters, and the interval speaks of new topics; where the table "
        "names no clusters, the questions were taken as independent. "
        "A server that is started anew is a little quicker or slower. From one or two starts a speed counts as "
        "different only beyond what starts have been seen to change (20%). Each further record of a version "
        "(FRESH=true) is another session; from three on, the sessions themselves say how much they differ. Figures "
        "and tables show the interval of the repeats.",
        _certainty,
    ),
    "Capacity and cost": (
        "Replicas for the target rate with head-room, and what they cost. “n/a” means that the price table has no "
        "price; cost counts only once it has one for every version's hardware.",
        _costs,
    ),
    "How the ranking changes with the weights": (
        "The score is a weighted mean of the criteria's lines that have a weight, each between 0 and 1, so that "
        "none can outweigh more than its weight: a score by what is above guessing; a figure or a cost is 1 for the "
        "best and 0 for ten times as bad.",
        _weights,
    ),
}
