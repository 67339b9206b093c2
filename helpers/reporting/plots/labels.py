"""Labels beside marks, moved apart until none covers another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from helpers.reporting.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINE = 0.19  # inches that a line of text takes


class Label(NamedTuple):
    """A text for the mark at x, y, in the units of the axes."""

    x: float
    y: float
    text: str
    look: style.Look


def in_a_column(axes: Axes, labels: Sequence[Label]) -> None:
    """Write the texts in a column right of the axes, at the heights of their marks or near, a thin line to each."""
    if not labels:
        return
    lines = max(label.text.count("\n") + 1 for label in labels)
    height = axes.get_window_extent().height / axes.figure.dpi
    heights = apart([_share(axes, label.y) for label in labels], lines * LINE / height)
    for label, place in zip(labels, heights, strict=True):
        axes.annotate(
            label.text,
            (label.x, label.y),
            (1.025, place),
            textcoords="axes fraction",
            va="center",
            color=label.look.ink,
            fontsize=9.5,
            arrowprops={
                "arrowstyle": "-",
                "color": label.look.colour,
                "linewidth": 0.7,
                "alpha": 0.6,
                "relpos": (0, 0.5),
            },
            annotation_clip=False,
        )


def _share(axes: Axes, y: float) -> float:
    return float(axes.transAxes.inverted().transform(axes.transData.transform((0, y)))[1])


def apart(heights: Sequence[float], least: float) -> list[float]:
    """Return the heights, at least `least` apart in their old order, moved as little as goes, between 0 and 1."""
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    places = [heights[index] for index in order]
    for index in range(1, len(places)):
        places[index] = max(places[index], places[index - 1] + least)
    ceiling = max(1.0, (len(places) - 1) * least)
    for index in reversed(range(len(places))):
        places[index] = min(places[index], ceiling)
        ceiling = places[index] - least
    return [place for _, place in sorted(zip(order, places, strict=True))]


def room(count: int, lines: int = 1) -> float:
    """Return the height in inches that a figure needs so that a column of so many labels fits."""
    return max(5.0, 1.3 + count * lines * LINE * 1.1)
