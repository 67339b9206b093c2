"""What the answers of measured models say about the questions: keys to doubt, and items that tell nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from helpers.artifacts import Finding, Sample
from helpers.datasets.exploring.texts import Texts, words
from helpers.statistics import above_chance

VERSIONS = 3  # that answered a question, before anything is said about it
SURE = 0.05  # p-value from which a version is shown to answer better than guessing

Logs = Mapping[str, Sequence[Sample]]  # by version


def doubted(texts: Texts, logs: Logs) -> tuple[list[Finding], dict[str, str]]:
    """Return the findings about the questions of a set from the logs of versions, and what cannot be said and why."""
    asked = {(row.id, *row.words): row for row in texts.rows}
    answers: dict[str, dict[tuple[str, ...], Sample]] = {}
    for label, samples in logs.items():
        known = {(sample.label, *words(sample.input)): sample for sample in samples if sample.scores}
        if same := {key: sample for key, sample in known.items() if key in asked}:
            answers[label] = same
    strong = {label: own for label, own in answers.items() if _strong(list(own.values()))}
    few = f"{texts.name}: {{count}} measured {{which}} answered these questions, {VERSIONS} are needed"
    absent, found = dict[str, str](), list[Finding]()
    if len(strong) < VERSIONS:
        absent["doubtful_label"] = few.format(count=len(strong), which="versions that are better than guessing have")
    else:
        found += _labels(texts, strong)
    if len(answers) < VERSIONS:
        absent["tells_nothing"] = few.format(count=len(answers), which="versions have")
    else:
        found += _alike(texts, answers)
    return found, absent


def _strong(samples: Sequence[Sample]) -> bool:
    """Return whether a version is shown to be better than guessing; without options, nobody guesses right."""
    chances = [1 / len(sample.options) if sample.options else 0.0 for sample in samples]
    chance = sum(chances) / len(chances)
    clusters = [sample.cluster for sample in samples]
    return above_chance([sample.score for sample in samples], chance, clusters if all(clusters) else ()) < SURE


def _labels(texts: Texts, strong: Mapping[str, Mapping[tuple[str, ...], Sample]]) -> Iterator[Finding]:
    """Yield the questions that all strong versions answer alike, and against the key."""
    for row in texts.rows:
        own = [each[key] for each in strong.values() if (key := (row.id, *row.words)) in each]
        said = {tuple(words(sample.output)) for sample in own}
        if len(own) >= VERSIONS and len(said) == 1 and not any(sample.correct for sample in own):
            yield Finding(
                kind="doubtful_label",
                set=texts.name,
                ids=(row.id,),
                where=(row.where,),
                number=len(own),
                what=f"{len(own)} versions answer {own[0].output[:60]!r}, right is said to be {own[0].expected[:60]!r}",
            )


def _alike(texts: Texts, answers: Mapping[str, Mapping[tuple[str, ...], Sample]]) -> Iterator[Finding]:
    """Yield the questions that every version answers right, and those that every version answers wrong."""
    for right, how in ((True, "right"), (False, "wrong")):
        rows = []
        for row in texts.rows:
            own = [each[key].correct for each in answers.values() if (key := (row.id, *row.words)) in each]
            if len(own) >= VERSIONS and all(correct is right for correct in own):
                rows.append(row)
        if rows:
            yield Finding(
                kind="tells_nothing",
                set=texts.name,
                ids=tuple(row.id for row in rows),
                where=tuple(row.where for row in rows),
                number=len(answers),
                what=f"all {len(answers)} versions answer these {len(rows)} questions {how}",
            )
