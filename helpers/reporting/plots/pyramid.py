"""Every score of every evaluation: a panel for each evaluation, a mark with its interval for each version."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from helpers.analysis.comparison import Comparison, Row
from helpers.reporting.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SPREAD = 0.7  # how much of a figure's line the marks of many versions take
LINE = 100  # characters of the legend that fit in a line
STAR = "\N{BLACK STAR}"


def pyramid(comparison: Comparison, shown: Sequence[str] = ()) -> Figure | None:
    """The shares of each evaluation by version, the base of the pyramid first; None for one evaluation alone."""
    from matplotlib import pyplot

    looks = style.looks(shown or comparison.leading)
    panels: dict[str, list[Row]] = {}
    for row in comparison.tiers:
        if row.tier != "performance" and not row.unit:  # a share; what has a unit stands in the table
            panels.setdefault(row.name, []).append(row)
    if len(panels) < 2:
        return None
    lines = [len(rows) * (0.3 + 0.12 * len(looks)) + 0.75 for rows in panels.values()]
    with pyplot.rc_context(style.RC):
        figure, grid = pyplot.subplots(
            len(panels), 1, figsize=(10, sum(lines) + 0.6), layout="constrained", squeeze=False, height_ratios=lines,
            sharex=True,
        )  # fmt: skip
        for axes, (name, rows) in zip(grid.flat, panels.items(), strict=True):
            _panel(axes, name, rows, looks)
        grid.flat[-1].set_xlabel("Share of the rows, bars: what the choice of rows may have done")
        handles, labels = grid.flat[0].get_legend_handles_labels()
        widest = max(map(len, labels), default=0)
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), max(1, LINE // (widest + 6))))
    return style.finished(figure)


def _panel(axes: Axes, name: str, rows: Sequence[Row], looks: dict[str, style.Look]) -> None:
    for column, (label, look) in enumerate(looks.items()):
        offset = SPREAD * ((column + 0.5) / len(looks) - 0.5)
        about: dict[str, Any] = {
            "fmt": look.marker, "color": look.colour, "capsize": 3, "label": style.short(label),
        }  # fmt: skip
        marks = list(_marks(rows, label))
        low = [max(value - bounds[0], 0.0) for _, value, bounds in marks]
        high = [max(bounds[1] - value, 0.0) for _, value, bounds in marks]
        places = [place + offset for place, _, _ in marks]
        axes.errorbar([value for _, value, _ in marks], places, xerr=[low, high] if marks else None, **about)
    axes.set_yticks(range(len(rows)), [_named(row) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(-0.02, 1.02)
    axes.grid(visible=False, axis="y")
    axes.set_title(f"{rows[0].tier}: {name} ({rows[0].subject})")


def _marks(rows: Sequence[Row], label: str) -> Iterator[tuple[int, float, tuple[float, float]]]:
    """Yield line, value and interval of each figure that the version has."""
    for place, row in enumerate(rows):
        for cell in row.cells:
            if cell.label == label and cell.value is not None:
                bounds = cell.interval
                yield place, cell.value, (bounds.low, bounds.high) if bounds else (cell.value, cell.value)


def _named(row: Row) -> str:
    way = {"higher": "", "lower": ", lower is better", "zero": ", 0 is best"}[row.better]
    return f"{row.metric.replace('_', ' ')}{way}" + (f" {STAR}" if row.best else "")
