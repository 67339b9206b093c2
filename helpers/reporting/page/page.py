"""The report: one page that reads like a memo, in one file, for somebody without JupyterLab and without a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.analysis.comparison import MOST, Comparison
from helpers.analysis.comparison.requests import FirstTokens
from helpers.analysis.recommendation import Decision
from helpers.artifacts import FOLDER, Record, write_atomic
from helpers.datasets.criteria import kind
from helpers.reporting.page.figures import embedded
from helpers.reporting.page.provenance import Provenance
from helpers.reporting.page.rendering import render
from helpers.reporting.page.table import Table
from helpers.reporting.page.tables import candidates, costs, flips, more
from helpers.reporting.plots import comparison as plots
from helpers.reporting.plots.tables import pairs_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILENAME = "report.html"
EVERY_PAIR = 4  # versions; of more the pairs with the recommended one fit on paper


@dataclass(frozen=True)
class Drawing:
    """A figure as the page holds it; `text` says what it shows to somebody who does not see it."""

    source: str
    text: str


@dataclass(frozen=True)
class Section:
    """One part of the page."""

    title: str
    lead: str
    drawing: Drawing | None = None
    table: Table | None = None
    missing: str = ""


@dataclass(frozen=True)
class Report:
    """The report that was written."""

    path: Path

    def _repr_html_(self) -> str:
        return render("link.html", path=self.path.as_posix())

    def __repr__(self) -> str:
        return f"The report is {self.path}"


def write_report(
    comparison: Comparison,
    decision: Decision,
    records: Sequence[Record],
    waits: FirstTokens | None = None,
    folder: Path = FOLDER,
    headline: Figure | None = None,
) -> Report:
    """Write `report.html` into `folder`; records are those of the versions that are shown, `waits` their requests.

    `headline` is the figure of accuracy against latency, where it is drawn already.
    Raises StoreFailed where the disk refuses it.
    """
    best = comparison.standings[0]
    page = render(
        "report.html",
        title=f"{best.task}: {decision.headline[0].lower()}{decision.headline[1:]}",
        comparison=comparison,
        decision=decision,
        best=best,
        use_cases=sorted({record.use_case for record in records}),
        measured=max((record.ended for record in records), default=None),
        headline=_headline(comparison, decision, headline),
        candidates=candidates(comparison, decision),
        sections=list(_sections(comparison, decision, records, waits or FirstTokens(runs={}))),
        provenance=Provenance(records).html(),
        more=more(comparison, decision),
    )
    return Report(write_atomic(folder / FILENAME, page.encode()))


def _headline(comparison: Comparison, decision: Decision, figure: Figure | None) -> Drawing:
    figure = figure or plots.accuracy_vs_latency(comparison, decision=decision)
    seen = [row for row in comparison.standings if row.label in decision.shown]
    points = [f"{row.label}: {row.accuracy:.2f} at {_ms(row.ttft_p95_ms)}" for row in seen]
    return _drawn(figure, "Accuracy against time to first token, p95. " + "; ".join(points))


def _doubted(decision: Decision) -> str:
    """Return every reason why it is not sure, of which the top of the page tells the first."""
    told = [doubt.text for doubt in decision.doubts]
    shown = [*told[:MOST], *([f"{len(told) - MOST} more"] if told[MOST:] else [])]
    return f"Not sure: {'; '.join(shown)}. " if shown else ""


NOT_KNOWN = {"cost": "not every version's hardware has a price", "load_test": "not every version has it"}


def _without_effect(decision: Decision) -> list[str]:
    """Return the criteria's lines that have a weight and say nothing about these versions."""
    return [line for line, weight in decision.counting.items() if not weight]


def _ms(value: float | None) -> str:
    return "no operating point" if value is None else f"{value:.0f} ms"


def _drawn(figure: Figure, text: str) -> Drawing:
    return Drawing(embedded(figure), text)


def _sections(
    comparison: Comparison, decision: Decision, records: Sequence[Record], waits: FirstTokens
) -> Iterator[Section]:
    names, several = ", ".join(decision.shown), len(comparison.standings) > 1
    if comparison.tiers:
        figure = plots.workloads(comparison, decision.shown)
        yield Section(
            "Every measurement",
            "One row for each figure, with its 95% interval. A star marks a version that is shown to be better than "
            "every other one; the tests of a tier are one family.",
            _drawn(figure, f"Score against time to first token of {names}, for each load test") if figure else None,
            table=Table.of(plots.tiers_table(comparison, decision.shown), "All tiers"),
        )
    yield Section(
        "Latency against throughput",
        "Where a curve turns up, that server is saturated; a ring marks the operating point, the highest measured "
        "load at which the 95th percentiles met the SLO.",
        _drawn(plots.throughput_curves(records), f"Time to first token, p95, against requests/s of {names}"),
    )
    yield Section(
        "How long requests waited",
        "Each dot is one request; percentiles hide the shape. " + " ".join(f"{each}." for each in waits.missing),
        _drawn(plots.distributions(waits, comparison, decision.shown), f"Times to first token of {names}")
        if waits.runs
        else None,
        missing="" if waits.runs else "n/a: no request's times could be read.",
    )
    yield Section(
        "Accuracy by category",
        "A bar is how far chance may have moved a mark: with few questions far. A star marks a category in which two "
        "versions differ by more than that.",
        _drawn(plots.categories(comparison, decision.shown), f"Accuracy by category of {names}"),
    )
    yield Section(
        "Where they differ",
        "Some of the questions that one of the two answers correctly and the other does not.",
        table=flips(comparison, decision) if several else None,
        missing="" if several else "n/a: there is one version only.",
    )
    yield Section(
        "How sure is this",
        _doubted(decision)
        + "Two versions are compared on the questions that both answered; p says how often chance "
        "alone would make them differ as much (with Holm's correction for all pairs). A difference below *can show "
        "from* may be there, unseen.".replace("*", ""),
        table=Table.of(
            pairs_table(comparison, decision.recommended, decision.shown, most=EVERY_PAIR),
            "Differences in accuracy, and their tests",
        )
        if several
        else None,
        missing="" if several else "n/a: there is one version only.",
    )
    yield Section(
        "Capacity and cost",
        f"Prices: {decision.prices}. "
        + (
            f"Replicas for {decision.target_rate:g} requests/s with {decision.headroom:.0%} of each kept free."
            if decision.target_rate
            else "No target rate was given, so costs an hour are those of one replica."
        )
        + " ".join(["", *(f"{line} does not count: {NOT_KNOWN[kind(line)]}." for line in _without_effect(decision))]),
        table=costs(decision),
    )
