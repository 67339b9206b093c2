"""Put measured versions side by side; only those that answered the same questions are compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from helpers.artifacts import Record
from helpers.comparison.answers import Answer, Key, read_answers
from helpers.comparison.contract import Category, Comparison, Flip, Pair, Standing
from helpers.comparison.pairing import all_pairs
from helpers.comparison.speed import speed
from helpers.comparison.verdict import overall, standing_verdict
from helpers.errors import NotFound
from helpers.statistics import wilson

Answers = dict[Key, Answer]


def compare(
    records: Sequence[Record], samples: Mapping[str, Path | Iterable[dict[str, Any]]], margin: float = 0.0
) -> Comparison:
    """Compare the newest record of each version; `samples` gives each record's per-question log by record id.

    Differences in accuracy of less than `margin` do not matter to the reader.

    Versions that answered other questions than the rest are listed in `not_compared` and not tested against it.
    Raises NotFound where there is no record, ArtifactMissing where a per-question log is.
    """
    if not records:
        raise NotFound(
            "There is no record to compare", do="Run the ai-engineer pipeline for at least one model version"
        )
    newest, notes = _newest(records)
    group, others = _same_questions(newest)
    notes += sorted(_other(record, group[0]) for record in others)
    answers = {_label(record): read_answers(samples[record.record_id], record.evaluation.metric) for record in group}
    standings = sorted((_standing(record, answers[_label(record)]) for record in group), key=lambda row: -row.accuracy)
    pairs = all_pairs(standings, answers, margin)
    of_each: dict[str, list[Pair]] = {row.label: [] for row in standings}
    for pair in pairs:
        of_each[pair.first].append(pair)
        of_each[pair.second].append(pair)
    standings = [row.model_copy(update={"verdict": standing_verdict(row, of_each[row.label])}) for row in standings]
    return Comparison(
        standings=tuple(standings),
        pairs=pairs,
        flips=tuple(_flips([row.label for row in standings], answers)),
        verdict=overall(standings, pairs),
        not_compared=tuple(notes),
    )


def _label(record: Record) -> str:
    return record.selection.label


def _ended(record: Record) -> tuple[Any, str]:
    return max(record.evaluation.ended, record.sweep.ended), record.record_id


def _questions(record: Record) -> tuple[str, str, int]:
    evaluation = record.evaluation
    return evaluation.task, evaluation.dataset_digest, evaluation.num_fewshot


def _newest(records: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """Return each version's newest record for each set of questions, and a note on every other."""
    kept: dict[tuple[Any, ...], Record] = {}
    notes = []
    for record in sorted({record.record_id: record for record in records}.values(), key=_ended):
        key = (_label(record), record.selection.digest, *_questions(record))
        if older := kept.pop(key, None):
            notes.append(f"{_label(older)}: record {older.record_id} is older than {record.record_id} and left out")
        kept[key] = record
    return list(kept.values()), notes


def _same_questions(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """Return the records of the questions that most versions answered (the newest such), and the others."""
    groups: dict[tuple[str, str, int], dict[str, Record]] = {}
    for record in records:
        groups.setdefault(_questions(record), {})[_label(record)] = record
    best = max(groups.values(), key=lambda group: (len(group), max(_ended(record) for record in group.values())))
    chosen = list(best.values())
    return chosen, [record for record in records if record not in chosen]


def _other(record: Record, reference: Record) -> str:
    mine, theirs = record.evaluation, reference.evaluation
    differs = "other questions"
    if mine.task == theirs.task and mine.dataset_digest == theirs.dataset_digest:
        differs = f"{mine.num_fewshot} worked examples instead of {theirs.num_fewshot}"
    if _questions(record) == _questions(reference):
        differs = "another model under the same name and version"
    what = f"{mine.task}, {mine.dataset_digest[:19]}…"
    return f"{_label(record)}: record {record.record_id} is not compared, it has {differs} ({what})"


def _standing(record: Record, answers: Answers) -> Standing:
    evaluation, hardware = record.evaluation, record.endpoint.hardware
    return Standing(
        label=_label(record),
        name=record.selection.name,
        version=record.selection.version,
        digest=record.selection.digest,
        record_id=record.record_id,
        purpose=record.purpose,
        task=evaluation.task,
        dataset_digest=evaluation.dataset_digest,
        accuracy=evaluation.score,
        interval=evaluation.interval,
        n=evaluation.n,
        failed=evaluation.failed,
        **speed(record.sweep),
        operating_point=record.sweep.operating_point.reason,
        slo=record.sweep.slo.model_dump_json(exclude_none=True),
        workload=record.sweep.workload,
        hardware=f"{hardware.count} x {hardware.type}",
        hardware_type=hardware.type,
        hardware_count=hardware.count,
        startup_seconds=record.endpoint.startup_seconds,
        categories=tuple(by_category(answers.values(), evaluation.interval.confidence)),
    )


def by_category(answers: Iterable[Answer], confidence: float = 0.95) -> list[Category]:
    """Return the score on each category with its interval, in the order of the names."""
    groups: dict[str, list[bool]] = {}
    for answer in answers:
        groups.setdefault(answer.category, []).append(answer.correct)
    return [
        Category(
            name=name,
            score=sum(right) / len(right),
            correct=sum(right),
            n=len(right),
            interval=wilson(sum(right), len(right), confidence),
        )
        for name, right in sorted(groups.items())
    ]


def _flips(labels: Sequence[str], answers: Mapping[str, Answers]) -> Iterable[Flip]:
    """Yield the questions that all answered and not all answered alike, best model's failures last."""
    if len(labels) < 2:
        return
    common = set.intersection(*(set(answers[label]) for label in labels))
    rows = [{label: answers[label][key] for label in labels} for key in sorted(common)]
    differing = [row for row in rows if len({answer.correct for answer in row.values()}) > 1]
    for row in sorted(differing, key=lambda row: [not answer.correct for answer in row.values()]):
        question = row[labels[0]]
        yield Flip(
            question=question.question,
            category=question.category,
            text=question.text,
            expected=question.expected,
            answers={label: answer.given for label, answer in row.items()},
            correct={label: answer.correct for label, answer in row.items()},
        )
