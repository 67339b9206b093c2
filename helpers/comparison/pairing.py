"""Every two versions on the questions that both were asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from helpers.comparison.answers import Answer, Key
from helpers.comparison.contract import Pair, Standing
from helpers.comparison.verdict import sentence
from helpers.errors import NotFound
from helpers.statistics import Paired, adjusted
from helpers.statistics import compare as paired

Answers = Mapping[Key, Answer]
Row = tuple[Answer, Answer]


def all_pairs(standings: Sequence[Standing], answers: Mapping[str, Answers], margin: float) -> tuple[Pair, ...]:
    """Return every two versions, the more accurate first, tested together; and so are all categories of all of them."""
    both = list(combinations(standings, 2))
    common = [_common(first, second, answers) for first, second in both]
    levels = [first.interval.confidence for first, _ in both]
    tested = [_tested(rows, level, margin) for rows, level in zip(common, levels, strict=True)]
    topics = _together([_categories(rows, level, margin) for rows, level in zip(common, levels, strict=True)])
    return tuple(
        Pair(
            first=first.label,
            second=second.label,
            paired=result,
            categories=parts,
            sentence=sentence(first, second, result, len(both)),
        )
        for (first, second), parts, result in zip(both, topics, adjusted(tested), strict=True)
    )


def _common(first: Standing, second: Standing, answers: Mapping[str, Answers]) -> list[Row]:
    """Return what both said to the questions that both were asked. Raises NotFound where there is none."""
    mine, theirs = answers[first.label], answers[second.label]
    common = sorted(key for key in mine.keys() & theirs.keys() if mine[key].digest == theirs[key].digest)
    if not common:
        raise NotFound(
            f"{first.label} and {second.label} have no question in common",
            do="Run lm_eval_task for both with the same limit",
        )
    return [(mine[key], theirs[key]) for key in common]


def _tested(rows: Sequence[Row], confidence: float, margin: float) -> Paired:
    return paired([a.correct for a, _ in rows], [b.correct for _, b in rows], confidence, margin)


def _categories(rows: Sequence[Row], confidence: float, margin: float) -> dict[str, Paired]:
    """Return the pair on each category of questions."""
    names = sorted({first.category for first, _ in rows})
    parts = [[row for row in rows if row[0].category == name] for name in names]
    return dict(zip(names, [_tested(part, confidence, margin) for part in parts], strict=True))


def _together(topics: Sequence[dict[str, Paired]]) -> list[dict[str, Paired]]:
    """Return the pairs' categories as one family: of many, some would differ by chance."""
    judged = iter(adjusted([result for parts in topics for result in parts.values()]))
    return [{name: next(judged) for name in parts} for parts in topics]
