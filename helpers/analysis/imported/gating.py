"""Imported models against a baseline: the regression gate of those who use nothing else of Assay."""

from __future__ import annotations

from collections.abc import Sequence

from helpers.analysis.gate.judging import AllAnswers, Judgement, judge
from helpers.analysis.imported.comparing import Sources
from helpers.artifacts import Record
from helpers.datasets.criteria import Criteria
from helpers.records.imports import Imported, as_record


def hold_all(
    baseline: Imported, candidates: Sequence[Imported], criteria: Criteria
) -> tuple[list[Judgement], list[str]]:
    """Hold each candidate against the baseline; return what came out, and what differs in how they were asked.

    What was asked otherwise has no answers in common, which leaves the gate open. Raises InvalidCriteria as `judge`.
    """
    judgements, notes = [], []
    for candidate in candidates:
        sources = Sources([baseline, candidate], criteria.coverage)
        theirs, *mine = (_answers(sources, record) for record in sources.records)
        answers = (mine[0] if mine else {}, theirs)
        judgements.append(judge(as_record(candidate), as_record(baseline), answers, criteria))
        notes += sources.notes
    return judgements, list(dict.fromkeys(notes))


def _answers(sources: Sources, record: Record) -> AllAnswers:
    return {each.name: sources.answers(record, each) for each in record.evaluations}
