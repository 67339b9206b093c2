"""All versions on each category of questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from helpers.comparison import Category, Comparison
from helpers.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SPREAD = 0.6  # how much of a category's row its marks take


def categories(comparison: Comparison) -> Figure:
    """Accuracy with its interval by category, a mark per version; a star where a difference between two is shown."""
    from matplotlib import pyplot

    labels = [row.label for row in comparison.standings]
    names = sorted({part.name for row in comparison.standings for part in row.categories})
    with pyplot.rc_context(style.RC):
        size = 1.6 + len(names) * (0.3 + 0.22 * len(labels))
        figure, axes = pyplot.subplots(figsize=(10, size), layout="constrained")
        for column, row in enumerate(comparison.standings):
            offset = SPREAD * (column / max(len(labels) - 1, 1) - 0.5) if len(labels) > 1 else 0.0
            parts = {names.index(part.name) + offset: part for part in row.categories}
            _marks(axes, parts, row.label, style.colour(row.label, labels))
        axes.set_yticks(range(len(names)), [f"{name} {_star(comparison, name)}".strip() for name in names])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(0, 1.02)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("Share answered correctly: further right is better")
        level = comparison.standings[0].interval.confidence
        axes.set_title(f"Accuracy by category, bars: {level:.0%} intervals, *: difference shown")
        figure.legend(loc="outside lower center", ncols=min(len(labels), 4))
    return style.finished(figure)


def _marks(axes: Axes, parts: dict[float, Category], label: str, shade: str) -> None:
    scores = [part.score for part in parts.values()]
    errors = [
        [part.score - part.interval.low for part in parts.values()],
        [part.interval.high - part.score for part in parts.values()],
    ]
    axes.errorbar(scores, list(parts), xerr=errors, fmt="o", color=shade, capsize=3, label=label)


def _star(comparison: Comparison, name: str) -> str:
    shown = [pair.categories[name].verdict for pair in comparison.pairs if name in pair.categories]
    return "*" if {"better", "worse"} & set(shown) else ""
