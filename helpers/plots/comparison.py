"""Versions side by side: accuracy against latency, and latency under load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from helpers.artifacts import LoadPoint, Record
from helpers.comparison import Comparison, Standing
from helpers.decision import Decision
from helpers.plots import style
from helpers.plots.categories import categories
from helpers.plots.decision import decision_table, weights
from helpers.plots.flips import flips
from helpers.plots.tables import flips_table, pairs_table, standings_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "accuracy_vs_latency",
    "categories",
    "decision_table",
    "flips",
    "flips_table",
    "pairs_table",
    "standings_table",
    "throughput_curves",
    "weights",
]

Latency = Literal["ttft_p95_ms", "e2e_p95_ms"]
_NAMES = {"ttft_p95_ms": "Time to first token, p95", "e2e_p95_ms": "End-to-end latency, p95"}


def accuracy_vs_latency(
    comparison: Comparison, latency: Latency = "ttft_p95_ms", decision: Decision | None = None
) -> Figure:
    """Accuracy with its interval against a latency (ms) at the operating point; versions without one are listed.

    With a decision, versions that another beats in everything are hollow, and those on the Pareto front are joined.
    """
    from matplotlib import pyplot

    labels = [row.label for row in comparison.standings]
    placed = [row for row in comparison.standings if getattr(row, latency) is not None]
    missing = [row for row in comparison.standings if row not in placed]
    best = comparison.standings[0]
    front = {option.label for option in decision.options if option.on_front} if decision else set(labels)
    with pyplot.rc_context(style.RC):
        figure, axes = pyplot.subplots(layout="constrained")
        for row, height in zip(placed, _apart([row.accuracy for row in placed]), strict=True):
            _mark(axes, row, getattr(row, latency), height, style.colour(row.label, labels), row.label in front)
        if decision:
            _front(axes, [(getattr(row, latency), row.accuracy) for row in placed if row.label in front])
        axes.set_xlim(0, max((getattr(row, latency) for row in placed), default=1) * 1.35)
        axes.set_ylim(0, 1)
        axes.set_xlabel(f"{_NAMES[latency]}, at the operating point (ms): further left is better")
        axes.set_ylabel("Share of questions answered correctly")
        axes.set_title(f"{best.task} (n = {best.n}), bars: {best.interval.confidence:.0%} intervals")
        if missing:
            text = "No load met the SLO: " + ", ".join(f"{row.label} ({row.accuracy:.2f})" for row in missing)
            axes.text(0.02, 0.03, text, transform=axes.transAxes)
    return style.finished(figure)


def _apart(heights: Sequence[float], least: float = 0.16) -> list[float]:
    """Return heights for the texts, pushed apart from the top down so that none covers another."""
    places: dict[int, float] = {}
    above = 2.0
    for index in sorted(range(len(heights)), key=lambda index: -heights[index]):
        above = places[index] = min(heights[index], above - least)
    return [places[index] for index in range(len(heights))]


def _front(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    if len(points) > 1:
        axes.plot(*zip(*sorted(points), strict=True), "--", color=style.GREY, linewidth=1, zorder=0)


def _mark(axes: Axes, row: Standing, latency: float, height: float, shade: str, filled: bool) -> None:
    below, above = row.accuracy - row.interval.low, row.interval.high - row.accuracy
    face = shade if filled else "white"
    axes.errorbar(
        latency, row.accuracy, yerr=[[below], [above]], fmt="o", color=shade, mfc=face, capsize=5, markersize=9
    )
    text = f"{row.label}\n{row.accuracy:.2f} ({row.interval.low:.2f} to {row.interval.high:.2f})"
    load = f"\n{row.requests_per_second:.1f} requests/s" if row.requests_per_second is not None else ""
    axes.annotate(text + load, (latency, height), (12, 0), textcoords="offset points", va="center", color=shade)


def throughput_curves(records: Sequence[Record], against: Literal["requests", "tokens"] = "requests") -> Figure:
    """TTFT p95 (ms) against achieved requests/s or output tokens/s, all versions in one plot, ring: operating point."""
    from matplotlib import pyplot, ticker

    labels = [record.selection.label for record in records]
    unit = "requests/s" if against == "requests" else "output tokens/s"
    with pyplot.rc_context(style.RC):
        figure, axes = pyplot.subplots(layout="constrained")
        for record in records:
            _curve(axes, record, against, style.colour(record.selection.label, labels))
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(ticker.NullFormatter())
        axes.set_xlim(0, axes.get_xlim()[1] * 1.15)
        _limits(axes, records)
        axes.set_xlabel(f"Achieved throughput ({unit}): further right is better")
        axes.set_ylabel("Time to first token, p95 (ms, logarithmic)")
        axes.set_title("Latency under load (ring: operating point)")
    return style.finished(figure)


def _limits(axes: Axes, records: Sequence[Record]) -> None:
    for limit in sorted({limit for record in records if (limit := record.sweep.slo.ttft_ms) is not None}):
        axes.axhline(limit, color=style.LIMIT, linestyle=":")
        axes.annotate(
            f"SLO {limit:g} ms",
            (1, limit),
            (-4, 4),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            ha="right",
            color=style.LIMIT,
        )


def _achieved(point: LoadPoint, against: str) -> float:
    return point.requests_per_second if against == "requests" else point.output_tokens_per_second


def _curve(axes: Axes, record: Record, against: str, shade: str) -> None:
    # In the order of the load: past saturation a curve may turn back.
    points = sorted(record.sweep.points, key=lambda point: point.concurrency)
    places = [(_achieved(point, against), point.ttft_ms.p95) for point in points if point.ttft_ms]
    if not places:
        return
    axes.plot(*zip(*places, strict=True), "o-", color=shade, markersize=5)
    label = record.selection.label
    axes.annotate(label, max(places), (8, 0), textcoords="offset points", va="center", color=shade, weight="bold")
    chosen = record.sweep.chosen
    if chosen and chosen.ttft_ms:
        axes.plot(_achieved(chosen, against), chosen.ttft_ms.p95, "o", ms=14, mfc="none", mec=shade, mew=2)
