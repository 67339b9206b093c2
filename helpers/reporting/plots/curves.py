"""Latency against throughput for one load test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from helpers.artifacts import LoadPoint, LoadTest
from helpers.reporting.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METRICS = {"ttft_ms": "Time to first token", "itl_ms": "Time between tokens", "e2e_ms": "Whole request"}
SHOWN = ("p50", "p95")
NOTES = {"saturated": "saturated", "limited_by_load_generator": "limited by the load generator"}
MARKS = {"saturated": "x", "limited_by_load_generator": "s"}


def latency_vs_throughput(sweep: LoadTest) -> Figure:
    """Median and 95th percentile of each latency (ms) against the requests/s reached; SLO and operating point."""
    from matplotlib import pyplot

    limits = sweep.slo.model_dump()
    metrics = [m for m in METRICS if m != "e2e_ms" or limits[m]]
    with pyplot.rc_context(style.RC):
        figure, panels = pyplot.subplots(1, len(metrics), figsize=(10, 4.4), layout="constrained", squeeze=False)
        for axes, metric in zip(panels[0], metrics, strict=True):
            _curves(axes, sweep, metric)
            _objective(axes, limits[metric], max(_values(sweep.points, metric), default=0.0))
            axes.set(title=METRICS[metric], xlabel="Requests answered per second", ylabel="Milliseconds")
            axes.margins(x=0.12)
            axes.set_xlim(left=0)
        handles, labels = _legend(panels[0])
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return style.finished(figure)


def _curves(axes: Axes, sweep: LoadTest, metric: str) -> None:
    points = sorted((p for p in sweep.points if getattr(p, metric)), key=_offered)
    reached = [p.requests_per_second for p in points]
    for name, line, tint in zip(SHOWN, ("--", "-"), (style.COLOURS[4], style.COLOURS[0]), strict=True):
        measured = [getattr(getattr(p, metric), name) for p in points]
        axes.plot(reached, measured, line, marker="o", color=tint, label={"p50": "median"}.get(name, name))
    for point in points if metric == "ttft_ms" else ():
        where = (point.requests_per_second, getattr(point, metric).p95)
        axes.annotate(
            _load(point), where, (0, 9), textcoords="offset points", fontsize=9, ha="center", bbox=style.BEHIND
        )
    for name, label in NOTES.items():
        noted = [(p.requests_per_second, getattr(p, metric).p95) for p in points if getattr(p, name)]
        if noted:
            mark: dict[str, Any] = {
                "marker": MARKS[name],
                "markersize": 13,
                "markerfacecolor": "none",
                "markeredgewidth": 2,
            }
            axes.plot(*zip(*noted, strict=True), linestyle="", color=style.BAD, label=label, **mark)
    headline = sweep.headline
    if headline and (there := getattr(headline, metric)):
        marker: dict[str, Any] = {"marker": "o", "markersize": 15, "markerfacecolor": "none", "markeredgewidth": 2}
        axes.plot(
            headline.requests_per_second, there.p95, linestyle="", color=style.GOOD, label="operating point", **marker
        )


def _offered(point: LoadPoint) -> float:
    """Order of the load that was asked for: where more of it is answered by less, the curve bends back."""
    ends = {"synchronous": 0.0, "throughput": math.inf}
    return ends[point.strategy] if point.strategy in ends else point.rate or float(point.streams or 0)


def _load(point: LoadPoint) -> str:
    """What was asked for, in two words."""
    if point.rate:
        return f"{point.rate:.3g}/s"
    words = {"synchronous": "one at a time", "throughput": "all at once"}
    return words.get(point.strategy) or (f"{point.streams} in flight" if point.streams else point.strategy)


def _values(points: Sequence[LoadPoint], metric: str) -> list[float]:
    return [getattr(p, metric).p95 for p in points if getattr(p, metric)]


def _objective(axes: Axes, limit: float | None, highest: float) -> None:
    """Draw the SLO; from 20 times apart on, a linear axis would press the curve to the floor or out of sight."""
    top = max(highest, limit or 0.0) * 1.2 or 1.0
    if limit and highest and (limit / highest > 20 or highest / limit > 20):
        axes.set_yscale("log")
        axes.set_ylim(top=top * 1.5)
    else:
        axes.set_ylim(0, top)
    if limit:
        axes.axhline(limit, color=style.LIMIT, linestyle=":", label="SLO on p95")


def _legend(panels: Sequence[Axes]) -> tuple[list[Any], list[str]]:
    found = {label: h for axes in panels for h, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    return list(found.values()), list(found)
