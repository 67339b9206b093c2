"""Imported models side by side: every measurement in one table, and the verdict by the answers that can be paired."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from helpers.analysis.comparison import Comparison, Row, compare, tiers
from helpers.analysis.imported.several import across
from helpers.analysis.imported.unpaired import with_unpaired
from helpers.analysis.recommendation import Decision, Needs, PriceList, decide
from helpers.artifacts import Evaluation, Record, Sample
from helpers.datasets.criteria import DEFAULT, Criteria
from helpers.records.imports import Imported, alike, as_record

NO_PRICES = PriceList(date=datetime.date.min, source="none was given", currency="cost", per_hour={})
Answers = Mapping[str, Sample]


@dataclass(frozen=True)
class Judged:
    """What came out; `comparison` and `decision` are None where no answers could be paired."""

    records: tuple[Record, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    comparison: Comparison | None = None
    decision: Decision | None = None
    tasks: int = 0


class Sources:
    """Imported models as records, with the answers to what all of them were asked alike.

    Who was asked nothing alike has no record.
    """

    def __init__(self, found: Sequence[Imported], coverage: float) -> None:
        kept, self.notes = alike(found, coverage)
        comparable = [each for each in kept if each.measurements]
        self.records = [as_record(each) for each in comparable]
        self._samples = {record.record_id: each.samples for record, each in zip(self.records, comparable, strict=True)}

    def samples(self, record: Record, evaluation: Evaluation) -> list[Sample]:
        """Return the samples of one evaluation, none where only its score is known."""
        return list(self._samples[record.record_id].get(evaluation.name, ()))

    def answers(self, record: Record, evaluation: Evaluation) -> Answers:
        """Return what counts in the score, by the question's id."""
        return {sample.id: sample for sample in self.samples(record, evaluation) if sample.scores}

    def paired(self) -> dict[str, list[Record]]:
        """Return the records that can be paired by each evaluation, the one with the most questions first."""
        found: dict[str, list[Record]] = {}
        for record in self.records:
            for each in record.evaluations:
                if self.samples(record, each):
                    found.setdefault(each.name, []).append(_placed(record, each, self.records))
        several = {name: records for name, records in found.items() if len(records) > 1}
        return dict(sorted(several.items(), key=lambda item: -item[1][0].evaluation.n))


def _placed(record: Record, evaluation: Evaluation, every: Sequence[Record]) -> Record:
    """Return the record with this evaluation alone, and with its load test where each model has one."""
    loads = record.load_tests[:1] if all(each.load_tests for each in every) else ()
    return record.model_copy(update={"measurements": (*loads, evaluation)})


def judge_all(found: Sequence[Imported], criteria: Criteria) -> Judged:
    """Put the models side by side and say which to take.

    A task that the criteria give a weight decides alone, else all tasks that can be paired do, tested as one family.
    """
    sources = Sources(found, criteria.coverage)
    rows = with_unpaired(tiers(sources.records, sources.answers))
    paired = sources.paired()
    ranked = {name: records for name, records in paired.items() if name in criteria.ranked} or paired
    judged = Judged(tuple(sources.records), rows, tuple(sources.notes))
    if not ranked:
        return judged
    comparisons = [_compared(sources, records, criteria) for records in ranked.values()]
    decisions = [decide(each, criteria, Needs(criteria=DEFAULT), NO_PRICES) for each in comparisons]
    decision = across(comparisons, decisions)
    comparison = comparisons[0].model_copy(update={"tiers": rows, "not_compared": tuple(sources.notes)})
    return Judged(judged.records, rows, judged.notes, comparison, decision, len(comparisons))


def _compared(sources: Sources, records: Sequence[Record], criteria: Criteria) -> Comparison:
    samples = {record.record_id: sources.samples(record, record.evaluation) for record in records}
    return compare(records, samples, criteria.margin(records[0].evaluation.name), coverage=criteria.coverage)
