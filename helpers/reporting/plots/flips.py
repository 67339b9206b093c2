"""The questions on which the versions differ, as a table with coloured cells."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from helpers.analysis.comparison import Comparison, Flip
from helpers.reporting.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WRAP = 76  # characters of a question on one line
LEFT, WIDTH = 5.6, 2.2  # where the cells begin, and how wide a column is, in inches
COLUMNS = 4  # more would be too small to read


def flips(comparison: Comparison, most: int = 20, shown: Sequence[str] = ()) -> Figure:
    """The questions on which the versions differ: a row each, a filled cell where the version was right.

    Of more than COLUMNS versions the first that are shown have a column, and the questions are those where they differ.
    """
    from matplotlib import pyplot

    looks, labels = style.looks(shown or comparison.leading), [*(shown or comparison.leading)[:COLUMNS]]
    differing = among(comparison.flips, labels)
    rows = _each_kind(differing, most, labels)
    heights = [textwrap.wrap(flip.text, WRAP) for flip in rows]
    size = LEFT + len(labels) * WIDTH + 0.1, 1.3 + sum(_height(lines) for lines in heights)
    # Colours and sizes are set one by one: the grid and the axes of the other plots would be in the way.
    with pyplot.rc_context({"text.parse_math": False}):
        figure, axes = pyplot.subplots(figsize=size, layout="constrained")
        place = 0.0
        for flip, lines in zip(rows, heights, strict=True):
            axes.text(0, place + _height(lines) / 2, "\n".join(lines), va="center", fontsize=9.5)
            for column, label in enumerate(labels):
                box = LEFT + column * WIDTH, place + 0.05, WIDTH - 0.1, _height(lines) - 0.1
                _cell(axes, box, flip.answers[label], flip.correct[label], looks[label].ink)
            place += _height(lines)
        _frame(axes, differing, {label: looks[label] for label in labels}, place, len(rows))
    return style.finished(figure)


def among(every: Sequence[Flip], labels: Sequence[str]) -> list[Flip]:
    """Return the questions on which these versions differ."""
    return [flip for flip in every if len({flip.correct[label] for label in labels}) > 1]


def _height(lines: Sequence[str]) -> float:
    return 0.32 + 0.2 * len(lines)


def _cell(axes: Axes, box: tuple[float, float, float, float], answer: str, right: bool, shade: str) -> None:
    from matplotlib.patches import Rectangle

    x, y, width, height = box
    axes.add_patch(Rectangle((x, y), width, height, facecolor=shade if right else "white", edgecolor=shade))
    mark = "\u2713" if right else "\u2717"
    text = "\n".join(textwrap.wrap(f"{mark} {answer}", 27)[:3])
    ink = "white" if right else "0.2"
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=9, color=ink)


def _each_kind(every: Sequence[Flip], most: int, labels: Sequence[str]) -> list[Flip]:
    """Return at most so many questions, of each kind of difference as many as of the others, in their old order."""
    kinds: dict[tuple[bool, ...], list[int]] = {}
    for place, flip in enumerate(every):
        kinds.setdefault(tuple(flip.correct[label] for label in labels), []).append(place)
    in_turn = [place for turn in zip_longest(*kinds.values()) for place in turn if place is not None]
    return [every[place] for place in sorted(in_turn[:most])]


def _frame(axes: Axes, every: Sequence[Flip], looks: dict[str, style.Look], bottom: float, shown: int) -> None:
    for column, (label, look) in enumerate(looks.items()):
        wins = sum(flip.correct[label] for flip in every)
        name = style.short(label, 24).replace(" (", "\n(")  # the mark of an unverified endpoint
        text = f"{name}\nright on {wins} of {len(every)}"
        axes.text(
            LEFT + (column + 0.5) * WIDTH - 0.05,
            -0.1,
            text,
            ha="center",
            va="bottom",
            weight="bold",
            color=look.ink,
        )
    more = f" ({shown} of {len(every)})" if shown < len(every) else ""
    axes.text(
        0, -0.1, f"Questions on which the versions differ{more}\nfilled: answered correctly", va="bottom", weight="bold"
    )
    axes.set_xlim(-0.05, LEFT + len(looks) * WIDTH)
    axes.set_ylim(bottom, -0.6)
    axes.axis("off")
