"""All versions on each category of questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from helpers.analysis.comparison import Category, Comparison
from helpers.reporting.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE = 100  # characters of the legend that fit in a line
SPREAD = 0.7  # how much of a category's row the marks of many versions take


def categories(comparison: Comparison, shown: Sequence[str] = ()) -> Figure:
    """Accuracy with its interval by category, a mark per version; a star where two differ by more than chance."""
    from matplotlib import pyplot

    labels = shown or comparison.leading
    looks, rows = style.looks(labels), [row for row in comparison.standings if row.label in labels]
    names = sorted({part.name for row in rows for part in row.categories})
    with pyplot.rc_context(style.RC):
        size = 1.6 + 0.25 * len(rows) / 3 + len(names) * (0.25 + 0.16 * len(rows))
        figure, axes = pyplot.subplots(figsize=(10, size), layout="constrained")
        for column, row in enumerate(rows):
            offset = SPREAD * ((column + 0.5) / len(rows) - 0.5)
            parts = {names.index(part.name) + offset: part for part in row.categories}
            _marks(axes, parts, style.short(row.label), looks[row.label])
        axes.set_yticks(range(len(names)), [f"{name} {_star(comparison, name, labels)}".strip() for name in names])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(0, 1.02)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("Share answered correctly: further right is better")
        axes.set_title("Accuracy by category, bars: what chance may have done, *: more than chance explains")
        widest = max(len(style.short(row.label)) for row in rows)
        figure.legend(loc="outside lower center", ncols=min(len(rows), max(1, LINE // (widest + 6))))
    return style.finished(figure)


def _marks(axes: Axes, parts: dict[float, Category], label: str, look: style.Look) -> None:
    scores = [part.score for part in parts.values()]
    errors = [
        [part.score - part.interval.low for part in parts.values()],
        [part.interval.high - part.score for part in parts.values()],
    ]
    axes.errorbar(scores, list(parts), xerr=errors, fmt=look.marker, color=look.colour, capsize=3, label=label)


def _star(comparison: Comparison, name: str, shown: Sequence[str]) -> str:
    pairs = [pair for pair in comparison.pairs if {pair.first, pair.second} <= {*shown} and name in pair.categories]
    return "*" if {"better", "worse"} & {pair.categories[name].verdict for pair in pairs} else ""
