"""Every two versions on the questions that both were asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from pydantic import Field

from helpers.analysis.comparison.contract import MOST, Pair, Standing
from helpers.analysis.comparison.verdict import detail, sentence
from helpers.artifacts import Contract, Sample
from helpers.errors import NotFound
from helpers.evaluation.samples import clusters
from helpers.statistics import Looks, Paired, adjusted, effect_of, from_counts, from_scores
from helpers.statistics.looks import ONE_LOOK

Answers = Mapping[str, Sample]
Seen = Callable[[str, str], Looks]  # two versions, by label -> how often they were compared


class Questions(NamedTuple):
    """What the versions were asked: by category and by cluster the questions as bits, and each one's cluster by place.

    No cluster is known where one question has none.
    """

    topics: dict[str, int]
    clusters: dict[str, int]
    cluster_at: list[str]


class Marks(Contract):
    """Sets of questions as bits, so that two versions are counted against each other in a microsecond."""

    asked: int
    correct: int
    scores: dict[int, float] = Field(default={}, description="by bit; empty where each is 0 or 1")

    def at(self, places: Sequence[int]) -> list[float]:
        """Return the scores of questions by the places of their bits."""
        return [self.scores[place] if self.scores else float(self.correct >> place & 1) for place in places]


def never_before(first: str, second: str) -> Looks:
    """Return that two versions are compared for the first time."""
    return ONE_LOOK


def all_pairs(
    standings: Sequence[Standing], answers: Mapping[str, Answers], margin: float, seen: Seen = never_before
) -> tuple[Pair, ...]:
    """Return every two versions, the more accurate first, tested together; `seen` says how often two were compared.

    All pairs are one family for Holm's correction, however few of them are shown: which version is the best is seen in
    the same answers, and the best of many equals beats the rest by chance. Of more than MOST versions only the pairs
    with the most accurate one have a sentence and tests by category, and the categories of all these are one family
    too. Raises NotFound where two share no question.
    """
    marks, questions = _marks(answers)
    both = list(combinations(standings, 2))
    tested = [
        _tested(marks[a.label], marks[b.label], questions, -1, a.interval.confidence, margin, seen(a.label, b.label))
        for a, b in both
    ]
    for (first, second), result in zip(both, tested, strict=True):
        _require(first, second, result)
    pairs = list(zip(both, adjusted([result for result in tested if result]), strict=True))
    full = {row.label for row in (standings if len(standings) <= MOST else standings[:1])}
    topics = _together(
        [_categories(marks[a.label], marks[b.label], questions, r) if a.label in full else {} for (a, b), r in pairs]
    )
    return tuple(
        Pair(
            first=a.label,
            second=b.label,
            paired=result,
            categories=parts,
            sentence=sentence(a, b, result) if a.label in full else "",
            detail=detail(a, b, result, len(both)) if a.label in full else "",
        )
        for ((a, b), result), parts in zip(pairs, topics, strict=True)
    )


def _marks(answers: Mapping[str, Answers]) -> tuple[dict[str, Marks], Questions]:
    """Return how each version answered, and what was asked; the same question has the same text, too."""
    found: dict[tuple[str, str], Sample] = {}
    for key, answer in (item for mine in answers.values() for item in mine.items()):
        if answer.cluster or (key, answer.digest) not in found:
            found[key, answer.digest] = answer
    every = sorted(found)
    bits = {question: 1 << place for place, question in enumerate(every)}
    marks = {}
    for label, mine in answers.items():
        asked = correct = 0
        scores = {}
        for key, answer in mine.items():
            bit = bits[key, answer.digest]
            asked |= bit
            correct |= bit if answer.correct else 0
            scores[bit.bit_length() - 1] = answer.score
        plain = all(score in (0, 1) for score in scores.values())
        marks[label] = Marks(asked=asked, correct=correct, scores={} if plain else scores)
    cluster_at = clusters(found[question] for question in every)
    topics = _bits(found[question].category for question in every)
    return marks, Questions(topics, _bits(cluster_at), cluster_at)


def _bits(names: Iterable[str]) -> dict[str, int]:
    """Return for each name the places that bear it, as bits, in the order of the names."""
    found: dict[str, int] = {}
    for place, name in enumerate(names):
        found[name] = found.get(name, 0) | 1 << place
    return dict(sorted(found.items()))


def _tested(
    mine: Marks, theirs: Marks, questions: Questions, among: int, confidence: float, margin: float, looks: Looks
) -> Paired | None:
    """Return the two on the questions `among` those that both were asked, None where there are none."""
    common = mine.asked & theirs.asked & among
    if common and (mine.scores or theirs.scores):
        places = [place for place, bit in enumerate(f"{common:b}"[::-1]) if bit == "1"]
        known = [questions.cluster_at[place] for place in places] if questions.cluster_at else []
        return from_scores(mine.at(places), theirs.at(places), confidence, margin, known, looks)
    a, b = mine.correct & common, theirs.correct & common
    first, second = a & ~b, b & ~a
    counts = (a & b).bit_count(), first.bit_count(), second.bit_count(), common.bit_count()
    parts = [group & common for group in questions.clusters.values() if group & common]
    totals = [(part.bit_count(), (first & part).bit_count() - (second & part).bit_count()) for part in parts]
    effect = effect_of(totals, counts[1] + counts[2]) if parts else 1.0
    return from_counts(*counts, confidence, margin, len(parts), effect, looks) if common else None


def _require(first: Standing, second: Standing, result: Paired | None) -> None:
    if result is None:
        raise NotFound(
            f"{first.label} and {second.label} have no question in common",
            do="Run lm_eval_task for both with the same limit",
        )


def _categories(mine: Marks, theirs: Marks, questions: Questions, whole: Paired) -> dict[str, Paired]:
    """Return the pair on each category of questions."""
    looks = Looks(whole.looks, whole.stricter)
    tested = {
        name: _tested(mine, theirs, questions, among, whole.confidence, whole.margin, looks)
        for name, among in questions.topics.items()
    }
    return {name: result for name, result in tested.items() if result}


def _together(topics: Sequence[dict[str, Paired]]) -> list[dict[str, Paired]]:
    """Return the pairs' categories as one family: of many, some would differ by chance."""
    judged = iter(adjusted([result for parts in topics for result in parts.values()]))
    return [{name: next(judged) for name in parts} for parts in topics]
