"""Put measured versions side by side; only those that were asked the same are compared."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from helpers.analysis.comparison.contract import MOST, Apart, Category, Comparison, Pair, Score, Standing
from helpers.analysis.comparison.differing import differing
from helpers.analysis.comparison.grouping import asked_so_far, choose, looks
from helpers.analysis.comparison.pairing import Seen, all_pairs
from helpers.analysis.comparison.speed import sessions, speed
from helpers.analysis.comparison.verdict import overall, standing_verdict
from helpers.artifacts import Record, Sample
from helpers.artifacts.accuracy import COVERAGE
from helpers.errors import NotFound
from helpers.evaluation.samples import chance, clusters, read_answers
from helpers.statistics import Looks, above_chance, holm, last_of, mean_of_scores

Answers = dict[str, Sample]


def compare(
    records: Sequence[Record],
    samples: Mapping[str, Path | Iterable[Sample]],
    margin: float = 0.0,
    own: str = "",
    coverage: float = COVERAGE,
    planned: int = 0,
    seen_before: Collection[str] = (),
) -> Comparison:
    """Compare the records that `choose` takes; `samples` gives each one's samples, or the log of them, by record id.

    Differences in accuracy of less than `margin` do not matter to the reader. `own` is the record of this run, if any,
    `coverage` the share of its questions that a version has to have answered, `planned` how many questions there are
    going to be, where versions are compared each time that some were added. `seen_before` are the questions (by their
    labels) that a model may know from its training: the comparison says what it would be without them.

    Every other record is listed in `not_compared` with the reason.
    Raises NotFound where there is no record, ArtifactMissing where a samples log is.
    """
    if not records:
        raise NotFound(
            "There is no record to compare", do="Run the ai-engineer pipeline for at least one model version"
        )
    chosen, notes = choose(records, own, coverage)
    answers = {each.label: read_answers(samples[each.record_id], each.evaluation.metric) for each in chosen}
    rows = sorted(
        (_standing(each, answers[each.label], coverage, records) for each in chosen), key=lambda row: -row.accuracy
    )
    standings = _together(rows)
    so_far, now = asked_so_far(chosen, records), chosen[0].evaluation.dataset_digest

    def seen(first: str, second: str) -> Looks:
        return last_of(looks(so_far[first], so_far[second], now), planned)

    pairs = all_pairs(standings, answers, margin, seen)
    of_each: dict[str, list[Pair]] = {row.label: [] for row in standings}
    for pair in pairs:
        of_each[pair.first].append(pair)
        of_each[pair.second].append(pair)
    standings = [row.model_copy(update={"verdict": standing_verdict(row, of_each[row.label])}) for row in standings]
    return Comparison(
        standings=tuple(standings),
        pairs=pairs,
        flips=tuple(differing([row.label for row in standings], answers)),
        without=_without(standings[:MOST], answers, {*seen_before}, margin, seen) if seen_before else None,
        verdict=overall(standings, pairs),
        not_compared=tuple(notes),
    )


def _without(
    standings: Sequence[Standing], answers: Mapping[str, Answers], left_out: set[str], margin: float, seen: Seen
) -> Apart | None:
    """Return the scores and differences without some questions, None where nothing or everything would go."""
    kept = {row.label: {key: each for key, each in answers[row.label].items() if each.label not in left_out}
            for row in standings}  # fmt: skip
    gone = {each.label for row in standings for each in answers[row.label].values()} & left_out
    if not gone or not all(kept.values()):
        return None
    parts = [(row, _category("", [*kept[row.label].values()], row.interval.confidence)) for row in standings]
    scores = tuple(Score(label=row.label, score=part.score, n=part.n, interval=part.interval) for row, part in parts)
    return Apart(questions=tuple(sorted(gone)), scores=scores, pairs=all_pairs(standings, kept, margin, seen))


def _together(rows: Sequence[Standing]) -> list[Standing]:
    """Return the rows with the p-values of guessing for testing all of them: of many that guess one seems better."""
    known = [row.guessing for row in rows if row.guessing is not None]
    judged = iter(holm(known))
    return [row if row.guessing is None else row.model_copy(update={"guessing_together": next(judged)}) for row in rows]


def _standing(record: Record, answers: Answers, coverage: float, records: Sequence[Record]) -> Standing:
    evaluation, hardware = record.evaluation, record.endpoint.hardware
    scores = [answer.score for answer in answers.values()]
    guessed = chance(answers.values()) if evaluation.chance is None else evaluation.chance
    return Standing(
        label=record.label,
        name=record.selection.name,
        version=record.selection.version,
        digest=record.selection.digest,
        record_id=record.record_id,
        purpose=record.purpose,
        task=evaluation.task,
        dataset_digest=evaluation.dataset_digest,
        evaluation=evaluation.name,
        accuracy=evaluation.score,
        interval=evaluation.interval,
        kind=evaluation.score_kind,
        n=evaluation.n,
        failed=evaluation.total - evaluation.n,
        again=evaluation.again,
        chance=guessed,
        guessing=None if guessed is None else above_chance(scores, guessed, clusters(answers.values())),
        partial=evaluation.short_of(coverage),
        unverified=record.unverified,
        **speed(sessions(record, records)),
        hardware=str(hardware),
        hardware_type=hardware.type,
        hardware_count=hardware.count,
        startup_seconds=record.endpoint.startup_seconds,
        categories=tuple(by_category(answers.values(), evaluation.interval.confidence)),
    )


def by_category(answers: Iterable[Sample], confidence: float = 0.95) -> list[Category]:
    """Return the score on each category with its interval, in the order of the names."""
    groups: dict[str, list[Sample]] = {}
    for answer in answers:
        groups.setdefault(answer.category, []).append(answer)
    return [_category(name, found, confidence) for name, found in sorted(groups.items())]


def _category(name: str, answers: Sequence[Sample], confidence: float) -> Category:
    scores = [answer.score for answer in answers]
    interval = mean_of_scores(scores, confidence, clusters(answers))
    return Category(name=name, score=min(math.fsum(scores) / len(scores), 1.0), n=len(scores), interval=interval)
