"""Every measurement of the versions side by side: one row for each figure, tested as one family in each tier."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import combinations
from typing import Literal

from pydantic import Field

from helpers.analysis.comparison.common_load import (
    LATENCIES,
    common_load,
    differ,
    other_sessions,
    over_sessions,
    pooled,
)
from helpers.analysis.comparison.grouping import asked_of, most_alike
from helpers.analysis.comparison.speed import means, session, sessions
from helpers.artifacts import Contract, Evaluation, Interval, LoadTest, Metric, Record, Sample
from helpers.artifacts.deployment import UNKNOWN
from helpers.artifacts.record import AnyMeasurement
from helpers.artifacts.speed import FIGURES
from helpers.evaluation.samples import clusters
from helpers.statistics import Estimate, Paired, adjusted, compare, holm, lead, mean_interval, p_value

ORDER = ("performance", "format", "accuracy", "tools", "safety", "application")
CONFIDENCE = 0.95  # of the tests of a tier together
SPEED = ("requests_per_second", "ttft_p95_ms", "itl_p95_ms")
Read = Callable[[Record, Evaluation], Mapping[str, Sample]]


class Cell(Contract):
    """One version's figure; None where it was not measured, or not in the same way, as `note` says."""

    label: str
    value: float | None = None
    interval: Interval | None = None
    n: int = 0
    note: str = ""
    better_than: tuple[str, ...] = Field(default=(), description="versions than which a test shows it to be better")


class Row(Contract):
    """One figure of one measurement, of every version; only the one that stands for the measurement is tested."""

    name: str
    tier: str
    subject: str
    metric: str
    unit: str = ""
    better: Literal["higher", "lower", "zero"] = "higher"
    test: str = ""
    load: float | None = Field(default=None, description="requests/s at which a latency is, which all of them carry")
    cells: tuple[Cell, ...]

    @property
    def best(self) -> tuple[str, ...]:
        """The versions that are shown to be better than every other one that was measured in the same way."""
        measured = {cell.label for cell in self.cells if cell.value is not None}
        return tuple(c.label for c in self.cells if len(measured) > 1 and {*c.better_than} >= measured - {c.label})


def tiers(
    records: Sequence[Record], read: Read, own: str = "", every: Collection[Record] = ()
) -> tuple[Row, ...]:  # fmt: skip
    """Return a row for each figure that the records hold, the base of the pyramid first.

    Of each measurement those are compared that were asked the same; `read` returns an evaluation's answers. The tests
    of one tier are one family (Holm). Speeds that were measured in other sessions too are taken from `every` record.
    """
    found: list[Row] = []
    for tier in ORDER:
        names = sorted({each.name for record in records for each in record.measurements if each.tier == tier})
        loads: list[_Speeds] = []
        scores: list[_Scores] = []
        for name in names:
            same, notes = alike(records, name, own)
            load_tests = {label: (r, each) for label, (r, each) in same.items() if isinstance(each, LoadTest)}
            evaluations = {label: (r, each) for label, (r, each) in same.items() if isinstance(each, Evaluation)}
            if load_tests:
                loads += [_Speeds(name, metric, load_tests, notes, every) for metric in SPEED]
            if evaluations:
                scores.append(_Scores(name, evaluations, notes, read))
        found += [*_speed_rows(loads, records), *_score_rows(scores, records)]
    return tuple(found)


def alike(
    records: Sequence[Record], name: str, own: str
) -> tuple[dict[str, tuple[Record, AnyMeasurement]], dict[str, str]]:
    """Return the measurements of a name that were asked the same, by version, and why each other is not among them."""
    named = [(record, each) for record in records for each in record.measurements if each.name == name]
    reference = most_alike([(record.record_id, each) for record, each in named], own)
    same = {record.label: (record, each) for record, each in named if asked_of(each) == reference}
    others = {record.label: "asked otherwise" for record, _ in named if record.label not in same}
    return same, others


class _Speeds:
    """One figure of the load tests, with every two versions' p-value; latencies at the load that all carry."""

    def __init__(
        self,
        name: str,
        metric: str,
        found: Mapping[str, tuple[Record, LoadTest]],
        notes: Mapping[str, str],
        every: Collection[Record],
    ) -> None:
        tests = {label: each for label, (_, each) in found.items()}
        self.name, self.metric, self.tests, self.notes = name, metric, tests, notes
        of_each = {label: sessions(record, every, each) for label, (record, each) in found.items()}
        self.held = {label: [test for test in each if test.headline] for label, each in of_each.items()}
        self.sessions = {label: [session(test) for test in each] for label, each in self.held.items()}
        self.values = {
            label: pooled([each.repeats.get(metric, ()) for each in measured])
            for label, measured in self.sessions.items()
        }
        curves = [each.curve for measured in self.sessions.values() for each in measured]
        self.load = common_load(curves) if metric in LATENCIES else None
        there = {label: over_sessions(self.sessions[label], metric, self.load) for label in tests if self.load}
        self.there = {label: each for label, each in there.items() if each}
        same = [pair for pair in combinations(found, 2) if _same_hardware(*(found[label][0] for label in pair))]
        tried = {pair: self._differ(*pair) for pair in same}
        self.p_values = {pair: p for pair, p in tried.items() if p is not None}

    def _differ(self, first: str, second: str) -> float | None:
        if self.load is not None:
            both = [self.there[label] for label in (first, second) if label in self.there]
            return differ(*both) if len(both) == 2 else None
        one, other = self._estimate(first), self._estimate(second)
        return p_value(lead(one, other)) if one and other else None

    def _estimate(self, label: str) -> list[Estimate]:
        """Return the logarithm of a rate with its noise, nothing where that is not known."""
        values = self.values[label]
        found = Estimate.of([math.log(value) for value in values]) if min(values, default=0.0) > 0 else None
        return [found, other_sessions(len(self.sessions[label]))] if found else []

    def value(self, label: str) -> float | None:
        """Return the version's figure, None where it has none."""
        if self.load is not None:
            return self.there[label].value if label in self.there else None
        return means(self.held[label])[self.metric] if self.held[label] else None

    def cell(self, label: str, better: Sequence[tuple[str, str]]) -> Cell:
        if label not in self.tests:
            return Cell(label=label, note=self.notes.get(label, "not measured"))
        value = self.value(label)
        if value is None:
            none = not self.held[label]
            return Cell(label=label, note="no load met the SLO" if none else "not measured")
        measured = self.values[label]
        beaten = tuple(theirs for mine, theirs in better if mine == label)
        bounds = self.there[label].noise if self.load is not None else mean_interval(measured)
        if bounds:
            bounds = bounds.model_copy(update={"low": max(bounds.low, 0.0)})  # none of these figures is below 0
        return Cell(label=label, value=value, interval=bounds, n=len(measured), better_than=beaten)


def _speed_rows(found: Sequence[_Speeds], records: Sequence[Record]) -> list[Row]:
    family = iter(holm([p for each in found for p in each.p_values.values()]))
    rows = []
    for each in found:
        lower = FIGURES[each.metric].get("better") == "lower"
        better = []
        for (first, second), p in zip(each.p_values, family, strict=False):
            if p < 1 - CONFIDENCE:
                mine, theirs = each.value(first) or 0.0, each.value(second) or 0.0
                better.append((first, second) if (mine < theirs) == lower else (second, first))
        cells = tuple(each.cell(record.label, better) for record in records)
        if any(cell.value is not None for cell in cells) or each.metric == SPEED[0]:
            rows.append(
                Row(
                    name=each.name,
                    tier="performance",
                    subject=next(iter(each.tests.values())).subject,
                    metric=each.metric,
                    unit=FIGURES[each.metric]["unit"],
                    better="lower" if lower else "higher",
                    test="Welch",
                    load=each.load,
                    cells=cells,
                )
            )
    return rows


def _same_hardware(first: Record, second: Record) -> bool:
    """Return whether two speeds may be held against each other."""
    return first.endpoint.hardware == second.endpoint.hardware and first.endpoint.hardware.type != UNKNOWN


class _Scores:
    """One evaluation, with every two versions on the questions that both answered."""

    def __init__(
        self, name: str, found: Mapping[str, tuple[Record, Evaluation]], notes: Mapping[str, str], read: Read
    ) -> None:
        self.name, self.found, self.notes = name, found, notes
        answers = {label: read(record, each) for label, (record, each) in found.items()} if len(found) > 1 else {}
        tried = {pair: self._paired(answers[pair[0]], answers[pair[1]]) for pair in combinations(answers, 2)}
        self.pairs: dict[tuple[str, str], Paired] = {pair: result for pair, result in tried.items() if result}

    @staticmethod
    def _paired(mine: Mapping[str, Sample], theirs: Mapping[str, Sample]) -> Paired | None:
        common = [key for key in mine.keys() & theirs.keys() if mine[key].digest == theirs[key].digest]
        scores = [mine[key].score for key in sorted(common)], [theirs[key].score for key in sorted(common)]
        return compare(*scores, CONFIDENCE, clusters=clusters(mine[key] for key in sorted(common))) if common else None

    def figures(self) -> list[Metric]:
        """Return the measurement's figures as the first version that has each knows it, its own score first."""
        found: dict[str, Metric] = {}
        for _, evaluation in self.found.values():
            for metric in evaluation.metrics:
                found.setdefault(metric.name, metric)
        return list(found.values())

    def cell(self, label: str, name: str, better: Sequence[tuple[str, str]] = ()) -> Cell:
        if label not in self.found:
            return Cell(label=label, note=self.notes.get(label, "not measured"))
        metric = next((each for each in self.found[label][1].metrics if each.name == name), None)
        if metric is None:
            return Cell(label=label, note="not measured")
        beaten = tuple(theirs for mine, theirs in better if mine == label)
        return Cell(
            label=label,
            value=metric.value,
            interval=metric.interval,
            n=metric.n,
            note=self.found[label][1].partial,
            better_than=beaten,
        )


def _score_rows(found: Sequence[_Scores], records: Sequence[Record]) -> list[Row]:
    family = iter(adjusted([pair for each in found for pair in each.pairs.values()]))
    rows = []
    for each in found:
        better, tests = [], []
        for (first, second), result in zip(each.pairs, family, strict=False):
            tests.append(result.tested)
            if result.verdict in ("better", "worse"):
                better.append((first, second) if result.verdict == "better" else (second, first))
        evaluation = next(iter(each.found.values()))[1]
        own, *others = each.figures()
        of_the_test = [(own, "; ".join(dict.fromkeys(tests)), better)]
        for metric, test, beaten in of_the_test + [(other, "", []) for other in others]:
            rows.append(
                Row(
                    name=each.name,
                    tier=evaluation.tier,
                    subject=evaluation.subject,
                    metric=metric.name,
                    unit=metric.unit,
                    better=metric.better,
                    test=test,
                    cells=tuple(each.cell(record.label, metric.name, beaten) for record in records),
                )
            )
    return rows
