"""The questions on which versions differ, of each evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from helpers.analysis.comparison.contract import Flip
from helpers.analysis.comparison.tiers import Read, alike
from helpers.artifacts import Evaluation, Record, Sample

Answers = Mapping[str, Sample]


def by_evaluation(
    records: Sequence[Record], read: Read, own: str = "", besides: str = ""
) -> dict[str, tuple[Flip, ...]]:
    """Return the rows on which versions that were asked the same differ, for each evaluation but `besides`."""
    found = {}
    for name in sorted({each.name for record in records for each in record.evaluations} - {besides}):
        same = {
            label: (record, each)
            for label, (record, each) in alike(records, name, own)[0].items()
            if isinstance(each, Evaluation)
        }
        if len(same) > 1:
            answers = {label: read(record, each) for label, (record, each) in same.items()}
            found[name] = tuple(differing(list(same), answers))
    return found


def differing(labels: Sequence[str], answers: Mapping[str, Answers]) -> Iterable[Flip]:
    """Yield the questions that all answered and not all answered alike, best model's failures last."""
    if len(labels) < 2:
        return
    common = set.intersection(*(set(answers[label]) for label in labels))
    rows = [{label: answers[label][key] for label in labels} for key in answers[labels[0]] if key in common]
    differing = [row for row in rows if len({answer.correct for answer in row.values()}) > 1]
    for row in sorted(differing, key=lambda row: [not answer.correct for answer in row.values()]):
        question = row[labels[0]]
        yield Flip(
            question=question.label,
            category=question.category,
            text=question.input,
            expected=question.expected,
            answers={label: answer.output for label, answer in row.items()},
            correct={label: answer.correct for label, answer in row.items()},
        )
