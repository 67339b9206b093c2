"""How long each request waited for its first token: a percentile hides the shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from helpers.analysis.comparison import Comparison
from helpers.analysis.comparison.requests import FirstTokens
from helpers.reporting.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GOLDEN = 0.618033988749895  # its multiples spread the dots evenly over a row, and the same way every time
ROW = 0.8  # how much of a version's row its dots take


def distributions(waits: FirstTokens, comparison: Comparison, shown: Sequence[str] = ()) -> Figure:
    """Each request's time to first token (ms) at the operating point: a row per version, a band per measurement.

    The first band is the sweep's, those below are the repeats'. A line marks the median, a bar the 95th percentile.
    """
    from matplotlib import pyplot

    labels, slo = shown or comparison.leading, comparison.limit("ttft_ms")
    looks, rows = style.looks(labels), [label for label in labels if label in waits.runs]
    with pyplot.rc_context(style.RC):
        figure, axes = pyplot.subplots(figsize=(10, 1.7 + 0.72 * max(len(rows), 1)), layout="constrained")
        for place, label in enumerate(rows):
            _row(axes, place, waits.runs[label], looks[label])
        _scale(axes, [time for label in rows for run in waits.runs[label] for time in run], slo)
        axes.set_yticks(range(len(rows)), [style.short(label, 28).replace(" (", "\n(") for label in rows])
        for tick, label in zip(axes.get_yticklabels(), rows, strict=True):
            tick.set_color(looks[label].ink)
        axes.set_ylim(max(len(rows), 1) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.set_title("Every request at the operating point, its repeats below")
        if not rows:
            axes.text(0.5, 0.5, "No requests to show", transform=axes.transAxes, ha="center")
    return style.finished(figure)


def _row(axes: Axes, place: int, runs: Sequence[Sequence[float]], look: style.Look) -> None:
    height = ROW / len(runs)
    for number, run in enumerate(runs):
        top = place - ROW / 2 + number * height
        heights = [top + height * (0.1 + 0.8 * (index * GOLDEN % 1)) for index in range(len(run))]
        axes.scatter(run, heights, s=7, color=look.colour, alpha=0.45, linewidths=0, rasterized=True)
        median, late = _quantile(run, 0.5), _quantile(run, 0.95)
        axes.vlines(median, top, top + height, color=style.INK, linewidth=1.4)
        axes.vlines(late, top, top + height, color=look.ink, linewidth=4)


def _quantile(values: Sequence[float], share: float) -> float:
    from numpy import quantile

    return float(quantile(values, share))


def _scale(axes: Axes, times: Sequence[float], slo: float | None) -> None:
    """Set the axis: logarithmic where some wait twenty times as long as others."""
    known = [time for time in times if time > 0]
    if slo:
        axes.axvline(slo, color=style.LIMIT, linestyle=":")
        where: Any = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "va": "bottom"}
        axes.annotate(f"SLO {slo:g} ms", (slo, 0), (4, 2), color=style.LIMIT, bbox=style.BEHIND, **where)
    if known and max(known) > 20 * min(known):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("Time to first token (ms, logarithmic); thin line: median, bar: 95th percentile")
    else:
        axes.set_xlim(left=0)
        axes.set_xlabel("Time to first token (ms); thin line: median, bar: 95th percentile")
