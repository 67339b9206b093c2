"""The report's own tables: fewer columns than the notebook's, so that they fit on paper."""

from __future__ import annotations

from collections.abc import Sequence

from helpers.analysis.comparison import MOST, Comparison, Flip, Standing
from helpers.analysis.recommendation import Decision, Option
from helpers.artifacts import Interval
from helpers.reporting.page.table import Table
from helpers.reporting.plots.decision import at, decision_table
from helpers.reporting.plots.flips import COLUMNS
from helpers.reporting.plots.tables import MARKS

UNKNOWN = "n/a"
EACH_WAY = 4  # questions in each direction


def candidates(comparison: Comparison, decision: Decision) -> Table:
    """One row per version that is shown, best first: what decides."""
    rows = {row.label: row for row in comparison.standings}
    level = f"{comparison.standings[0].interval.confidence:.0%} interval"
    columns = [
        *("version", "rank", "accuracy", level, f"TTFT p95 (ms){at(decision.common_load)}", "possible", "requests/s"),
        *(f"{decision.currency}/1,000 requests", "must-haves"),
    ]
    shown = [option for option in decision.options if option.label in decision.shown]
    cells = [_candidate(option, rows[option.label], decision.common_load) for option in shown]
    return Table("The candidates, best first", columns, cells, more(comparison, decision))


def more(comparison: Comparison, decision: Decision) -> str:
    """Return how many versions are not shown, "" where all are."""
    hidden = len(comparison.standings) - len(decision.shown)
    return f"{hidden} more versions were compared; all are in comparison.json and decision.json." if hidden > 0 else ""


def _candidate(option: Option, row: Standing, load: float | None) -> list[str]:
    there = row.at(load).get("ttft_p95_ms")
    noise = there.noise if there else None
    return [
        option.label,
        UNKNOWN if option.rank is None else str(option.rank),
        f"{option.accuracy:.3f}",
        f"{option.interval.low:.3f} to {option.interval.high:.3f}",
        _number(option.ttft_p95_ms, 0),
        f"{max(noise.low, 0.0):,.0f} to {noise.high:,.0f}" if noise else UNKNOWN,
        _number(option.requests_per_second, 1),
        _number(option.cost_per_thousand_requests, 4),
        "; ".join(f"{_word(gate.state)}{gate.asked}" for gate in option.gates if gate.state != "met") or "met",
    ]


def _word(state: str) -> str:
    return {"missed": "misses: ", "unsure": "hardly met: "}[state]


def _number(value: float | None, digits: int) -> str:
    return UNKNOWN if value is None else f"{value:,.{digits}f}"


def costs(decision: Decision) -> Table:
    """What serving costs, and how long a replica takes to come up."""
    frame = decision_table(decision)
    wanted = ["replicas", *(name for name in frame.columns if name.startswith(f"{decision.currency}/"))]
    return Table.of(frame[[*wanted, "cold start (s)"]], "Capacity and cost at the operating point")


def flips(comparison: Comparison, decision: Decision) -> Table:
    """A handful of questions in each direction, between the first two versions that are shown."""
    first, second = decision.shown[:2]
    ways = [_right(comparison, first, second), _right(comparison, second, first)]
    rows = [
        [
            flip.question,
            flip.text,
            flip.expected,
            *(f"{MARKS[flip.correct[label]]} {flip.answers[label]}" for label in (first, second)),
        ]
        for way in ways
        for flip in way[:EACH_WAY]
    ]
    columns = ["question", "text", "expected", first, second]
    caption = f"Right on {len(ways[0])} and {len(ways[1])} questions that the other misses: {first} and {second}"
    return Table(caption, columns, rows, "All are in comparison.json.")


def differing(comparison: Comparison, shown: Sequence[str]) -> Table:
    """Every row of the evaluations beside the ranked one on which the shown versions differ, with their answers."""
    labels = list(shown[:COLUMNS])
    rows = [
        [name, flip.question, flip.text, flip.expected, *(_answer(flip, label) for label in labels)]
        for name, flips in comparison.other_flips.items()
        for flip in flips
        if len({flip.correct.get(label) for label in labels}) > 1
    ]
    caption = f"All {len(rows)} rows of the other evaluations on which they differ"
    return Table(caption, ["evaluation", "row", "text", "expected", *labels], rows)


def _answer(flip: Flip, label: str) -> str:
    return f"{MARKS[flip.correct[label]]} {flip.answers[label]}" if label in flip.correct else "not measured"


def _right(comparison: Comparison, one: str, other: str) -> list[Flip]:
    return [flip for flip in comparison.flips if flip.correct[one] and not flip.correct[other]]


def without(comparison: Comparison) -> Table | None:
    """Scores with and without the questions whose wording a model may know, and how far the best leads; or None."""
    found = comparison.without
    if found is None:
        return None
    rows = [
        [part.label, _with_bounds(row.accuracy, row.interval, ".3f"), _with_bounds(part.score, part.interval, ".3f")]
        for row, part in zip(comparison.standings, found.scores, strict=False)
    ]
    whole = {(pair.first, pair.second): pair.paired for pair in comparison.pairs}
    rows += [
        [f"{pair.first} against {pair.second}", *(_with_bounds(each.difference, each.interval, "+.3f")
         for each in (whole[pair.first, pair.second], pair.paired))]
        for pair in found.pairs if pair.first == comparison.standings[0].label
    ]  # fmt: skip
    count = len(found.questions)
    caption = (
        f"With and without the {count} questions that share a run of words with the use case's documents or examples"
    )
    note = f"A model that was trained on them may know these by their wording: {', '.join(found.questions[:MOST])}"
    more = f" and {count - MOST} more; all are in comparison.json." if count > MOST else "."
    return Table(caption, ["version", "all questions", "without them"], rows, note + more)


def _with_bounds(value: float, interval: Interval, form: str) -> str:
    return f"{value:{form}} ({interval.low:{form}} to {interval.high:{form}})"
