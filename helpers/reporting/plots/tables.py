"""The comparison as tables for the notebook."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from helpers.analysis.comparison import MOST, Comparison, Standing
from helpers.reporting.plots.flips import COLUMNS, among
from helpers.statistics import Paired

if TYPE_CHECKING:
    from pandas import DataFrame

NOT_MEASURED = "\u2013"
MARKS = {True: "\u2713", False: "\u2717"}


def standings_table(comparison: Comparison, shown: Sequence[str] = ()) -> DataFrame:
    """One row per version, most accurate first: accuracy with its interval, and the speed at the operating point."""
    from pandas import DataFrame

    rows = [row for row in comparison.standings if row.label in (shown or comparison.leading)]
    table = DataFrame([_standing(row) for row in rows], index=[row.label for row in rows])
    table.index.name = "version"
    return table


def _standing(row: Standing) -> dict[str, str]:
    return {
        "accuracy": f"{row.accuracy:.3f}",
        f"{row.interval.confidence:.0%} interval": f"{row.interval.low:.3f} to {row.interval.high:.3f}",
        "guessing": NOT_MEASURED if row.chance is None else f"{row.chance:.3f}",
        "questions": _asked(row),
        "requests/s": _noisy(row, "requests_per_second", 1)
        + (", limited by the load generator" if row.limited_by_load_generator else ""),
        "output tokens/s": _noisy(row, "output_tokens_per_second", 0),
        "TTFT p95 (ms) at that load": _noisy(row, "ttft_p95_ms", 0),
        "ITL p95 (ms) at that load": _noisy(row, "itl_p95_ms", 1),
        "goodput (requests/s)": _noisy(row, "goodput", 1),
        "share within the SLO": _noisy(row, "slo_attainment", 3),
        "start-up (s)": _number(row.startup_seconds, 0),
    }


def _asked(row: Standing) -> str:
    """Return how many questions were answered, how many not, and that it is a trial where it is one."""
    unanswered = f" (+{row.failed} unanswered)" if row.failed else ""
    return f"{row.n}{unanswered}" + (f", {row.partial}" if row.partial else "")


def _noisy(row: Standing, name: str, digits: int) -> str:
    """Return a figure with the interval of its repeats, n/a where fewer than two repeats know no noise."""
    value, noise = _number(getattr(row, name), digits), row.noise.get(name)
    if value == NOT_MEASURED:
        return value
    return f"{value} ({noise.low:,.{digits}f} to {noise.high:,.{digits}f})" if noise else f"{value} (n/a)"


def _number(value: float | None, digits: int) -> str:
    return NOT_MEASURED if value is None else f"{value:,.{digits}f}"


def pairs_table(
    comparison: Comparison, about: str | None = None, shown: Sequence[str] = (), most: int = MOST
) -> DataFrame:
    """One row per two versions: the difference in accuracy with its interval, the test, and what it settles.

    Of more than `most` versions only the pairs of `about` with the others that are shown.
    """
    from pandas import DataFrame

    columns = ["result", "difference", "interval", "test", "p, adjusted", "can show from", "questions to settle it"]
    pairs = comparison.told(about, shown or comparison.leading, most)
    rows = [dict(zip(columns, _pair(pair.paired), strict=True)) for pair in pairs]
    table = DataFrame(rows, columns=columns, index=[f"{pair.first} against {pair.second}" for pair in pairs])
    table.index.name = "versions"
    return table


RESULTS = {
    "better": "more accurate",
    "worse": "less accurate",
    "equivalent": "equal within the margin",
    "inconclusive": "cannot tell",
}


def _pair(paired: Paired) -> tuple[str, ...]:
    settle = f"{paired.questions_to_settle:,}" if paired.questions_to_settle else NOT_MEASURED
    shown = NOT_MEASURED if paired.detectable is None else f"{paired.detectable:.3f}"
    bounds = f"{paired.interval.low:+.3f} to {paired.interval.high:+.3f}"
    tested = paired.tested, f"{paired.p_adjusted:.2g}"
    return RESULTS[paired.verdict], f"{paired.difference:+.3f}", bounds, *tested, shown, settle


def flips_table(comparison: Comparison, shown: Sequence[str] = ()) -> DataFrame:
    """Every question on which the versions differ, with each version's answer; a check mark where it was right."""
    from pandas import DataFrame

    labels = [*(shown or comparison.leading)[:COLUMNS]]
    every = among(comparison.flips, labels)
    rows = [
        {"category": flip.category, "question": flip.text, "expected": flip.expected}
        | {label: f"{MARKS[flip.correct[label]]} {flip.answers[label]}" for label in labels}
        for flip in every
    ]
    columns = ["category", "question", "expected", *labels]
    return DataFrame(rows, columns=columns, index=[flip.question for flip in every])
