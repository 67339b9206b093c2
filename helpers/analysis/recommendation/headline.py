"""The decision in one or two sentences that say what to do, for somebody who knows no statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from helpers.analysis.comparison import Comparison, Standing
from helpers.analysis.comparison.verdict import about, share, short
from helpers.analysis.recommendation.contract import Doubt, Option
from helpers.statistics import questions_above

LONGEST = 280
WORTH = 10  # times as many questions as were asked are worth to be asked
Action = Literal["take", "measure", "none"]


def headline(
    comparison: Comparison, options: Sequence[Option], doubts: Sequence[Doubt], load: float | None
) -> tuple[Action, str]:
    """Return what to do and the sentence that says so; `options`: the best first, those that are out last."""
    rows = {row.label: row for row in comparison.standings}
    first = options[0]
    if why := rows[first.label].partial:
        return "measure", _partial(why, first, rows)
    if not first.eligible:
        return "none", _none(options, rows)
    told = doubts[0] if doubts else None
    more = told.more_questions if told else None
    if told and more and more <= WORTH * first.n:
        return "measure", _measure(first, told.about, more, rows)
    return "take", _take(first, options[1:], told, rows, load)


def _partial(why: str, first: Option, rows: dict[str, Standing]) -> str:
    leads = f"{_of(first.label, rows)} leads." if first.eligible else "No version meets the must-haves so far."
    how = " (LIMIT=0)" if why.startswith("a trial") else ""
    return f"Measure all questions{how} before you decide: there is only {why}. {leads}"


def _none(options: Sequence[Option], rows: dict[str, Standing]) -> str:
    best = max(options, key=lambda each: (-len(each.missed), each.accuracy))
    if all(any(gate.name == "guessing" for gate in each.missed) for each in options):
        best = max(options, key=lambda each: each.accuracy)
        row = rows[best.label]
        said = f"Take none: none of these models answers better than guessing ({share(row.chance or 0, row)} right). "
        return f"{said}{_of(best.label, rows)} comes closest; {_to_show(row)}."
    missed = "; ".join(f"{gate.asked}: {gate.seen}" for gate in best.missed)
    said = f"Take none: no version meets the must-haves. {_of(best.label, rows)} comes closest and misses {missed}"
    return said if len(said) < LONGEST else f"{said[: LONGEST - 2]}\u2026."


def _to_show(row: Standing) -> str:
    """Return what would show that a version is better than guessing."""
    more = questions_above(row.accuracy, row.n, row.chance or 0.0, row.interval.confidence)
    if more and more <= WORTH * row.n:
        return f"about {about(more)} more questions could show that it is better"
    return "read some of its answers, or try another model"


def _measure(first: Option, other: str, more: int, rows: dict[str, Standing]) -> str:
    both = f"{_of(first.label, rows)} and {_of(other, rows)}"
    said = f"Measure about {about(more)} more questions: {both} cannot be told apart yet."
    return f"{said} Until then take {short(first.label)}."


def _take(
    first: Option, others: Sequence[Option], doubt: Doubt | None, rows: dict[str, Standing], load: float | None
) -> str:
    row, next_best = rows[first.label], [each for each in others if each.eligible][:1]
    right = f"{share(first.accuracy, row)} of {first.n} questions right"
    if first.kind == "mean":
        right = f"a mean score of {share(first.accuracy, row)} on {first.n} questions"
    against = "".join(f" against {share(each.accuracy, row)} for {short(each.label)}" for each in next_best)
    speed = "" if first.ttft_p95_ms is None else f", first token within {first.ttft_p95_ms:,.0f} ms (p95)"
    if speed and load:
        speed += f" at {load:.1f} requests/s"
    name, now = short(first.label), " for now" if doubt else ""
    sure = "The measurements are enough to be sure." if others else "No other version was asked the same."
    last = f"Not sure: {doubt.text}." if doubt else sure
    for middle in (f"{right}{against}{speed}", f"{right}{speed}", right):
        said = f"Take {name}{now}: {middle}. {last}"
        if len(said) <= LONGEST:
            break
    return said


def _of(label: str, rows: dict[str, Standing]) -> str:
    return f"{short(label)} ({share(rows[label].accuracy, rows[label])})"
