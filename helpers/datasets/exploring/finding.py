"""What is wrong in the texts themselves: pure functions, each of which yields findings of its own kinds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from helpers.artifacts import Finding
from helpers.datasets.exploring.similarity import alike, runs
from helpers.datasets.exploring.texts import Text, Texts, words

SHOWN = 12  # words of a run that are quoted
UNLIKELY = 0.001  # p-value from which the positions of the right answers are no chance


def findings(sets: Sequence[Texts], *, run_words: int, similar: float, similar_inside: float) -> list[Finding]:
    """Return all findings: in each set of questions and prompts, and of questions against all sets of another role."""
    found: list[Finding] = []
    for each in sets:
        if each.role in ("questions", "prompts"):
            found += [*empty(each), *duplicates(each), *contradictions(each, each)]
            found += near_duplicates(each, None, similar_inside)
        if each.role == "questions":
            found += [*given_away(each), *positions(each)]
            for other in (other for other in sets if other.role != "questions"):
                found += [*overlaps(each, other, run_words), *near_duplicates(each, other, similar)]
                found += contradictions(each, other)
    return found


def empty(texts: Texts) -> Iterator[Finding]:
    """Yield the rows that ask nothing, or of whose options one is empty."""
    for row in texts.rows:
        if not all(part.strip() for part in (row.text, *row.options)):
            what = "an option is empty" if row.text.strip() else "the text is empty"
            yield Finding(kind="empty", set=texts.name, ids=(row.id,), where=(row.where,), what=what)


def duplicates(texts: Texts) -> Iterator[Finding]:
    """Yield the rows that ask the same, case and punctuation aside, with the same options and the same answer."""
    groups: dict[tuple[object, ...], list[Text]] = {}
    for row in texts.rows:
        groups.setdefault((*row.words, None, *sorted(row.options), None, row.right, row.beside), []).append(row)
    for group in (group for group in groups.values() if len(group) > 1):
        yield Finding(
            kind="duplicate",
            set=texts.name,
            ids=tuple(row.id for row in group[1:]),
            where=tuple(row.where for row in (*group[1:], group[0])),
            what=f"the same stands at {group[0].where}",
        )


def near_duplicates(texts: Texts, others: Texts | None, least: float) -> Iterator[Finding]:
    """Yield each row with the text that it is most alike, in `others` or before it in its own set."""
    against = texts if others is None else others
    pairs = alike([row.words for row in texts.rows], [row.words for row in others.rows] if others else None, least)
    best: dict[int, tuple[float, int]] = {}
    for left, right, index in pairs:
        one, other = (left, right) if others else (right, left)  # within a set, the later one is the duplicate
        if (others or texts.rows[one].words != texts.rows[other].words) and index > best.get(one, (0.0, 0))[0]:
            best[one] = (index, other)
    for one, (index, other) in sorted(best.items()):
        mine, theirs = texts.rows[one], against.rows[other]
        yield Finding(
            kind="near_duplicate",
            set=texts.name,
            against=against.name,
            ids=(mine.id,),
            where=(mine.where, theirs.where),
            number=round(index, 3),
            what=f"a text like it stands at {theirs.where}: {_quoted(theirs.text.split())}",
        )


def overlaps(texts: Texts, others: Texts, least: int) -> Iterator[Finding]:
    """Yield the rows that share a run of `least` words or more with one of the others, with the longest run."""
    found = runs([row.words for row in texts.rows], [row.words for row in others.rows], least)
    for place, run in sorted(found.items()):
        row, other, shared = texts.rows[place], others.rows[run.other], len(run.words)
        yield Finding(
            kind="overlap",
            set=texts.name,
            against=others.name,
            ids=(row.id,),
            where=(row.where, other.where),
            number=shared,
            what=f"{shared} of its {len(row.words)} words stand in a row at {other.where}: {_quoted(run.words)}",
        )


def contradictions(texts: Texts, others: Texts) -> Iterator[Finding]:
    """Yield the rows that stand twice, or in the others, with another right answer."""
    known: dict[tuple[str, ...], list[tuple[int, Text]]] = {}
    for number, row in enumerate(others.rows):
        if row.right:
            known.setdefault(tuple(row.words), []).append((number, row))
    for place, row in enumerate(texts.rows):
        for number, other in known.get(tuple(row.words), ()):
            before = others is not texts or number < place
            if row.words and row.right and before and _conflict(row, other):
                yield Finding(
                    kind="contradiction",
                    set=texts.name,
                    against=others.name,
                    ids=(row.id,),
                    where=(row.where, other.where),
                    what=f"right is {_short(row.right)!r} here and {_short(other.right)!r} at {other.where}",
                )
                break


def given_away(texts: Texts) -> Iterator[Finding]:
    """Yield the rows whose question holds the right option, word for word, and none of the others."""
    for row in texts.rows:
        asked = f" {' '.join(row.words)} "
        held = [option for option in row.options if words(option) and f" {' '.join(words(option))} " in asked]
        if row.options and held == [row.right]:
            yield Finding(
                kind="answer_in_question",
                set=texts.name,
                ids=(row.id,),
                where=(row.where,),
                what=f"of its options only the right one, {_short(row.right)!r}, stands in the question",
            )


def positions(texts: Texts) -> Iterator[Finding]:
    """Yield that the right answers prefer a position, where that is no chance (Pearson's chi-squared test)."""
    counts = places(texts)
    if len(counts) < 2:
        return
    from scipy.stats import chisquare

    if (p := float(chisquare(counts).pvalue)) < UNLIKELY:
        said = ", ".join(map(str, counts))
        yield Finding(
            kind="position", set=texts.name, ids=(), where=(), number=p,
            what=f"the right answer stands in the positions {said} times (p = {p:.1g}): who prefers one scores by it",
        )  # fmt: skip


def places(texts: Texts) -> tuple[int, ...]:
    """Return how often each option is the right one; () where the rows have no options, or not the same number."""
    rows = [row for row in texts.rows if row.right in row.options]
    if not rows or len({len(row.options) for row in rows}) != 1:
        return ()
    found = Counter(row.options.index(row.right) for row in rows)
    return tuple(found[place] for place in range(len(rows[0].options)))


def _conflict(row: Text, other: Text) -> bool:
    """Return whether two answers to the same words exclude each other.

    A sentence that holds the other answer agrees with it; what holds none of a question's options is no answer to it.
    """
    mine, theirs = (f" {' '.join(words(each.right))} " for each in (row, other))
    offered = [f" {' '.join(words(option))} " for option in row.options]
    answers = not offered or any(option in theirs for option in offered)
    return answers and mine not in theirs and theirs not in mine and (not other.beside or row.beside == other.beside)


def _quoted(said: Sequence[str]) -> str:
    return " ".join(said[:SHOWN]) + (" …" if len(said) > SHOWN else "")


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"
