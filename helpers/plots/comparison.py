"""Versions side by side: accuracy against latency, throughput curves, and the questions on which they differ."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Literal

from helpers.artifacts import LoadPoint, Record
from helpers.comparison import Comparison, Flip, Standing
from helpers.plots.style import colour
from helpers.plots.tables import flips_table, standings_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["accuracy_vs_latency", "flips", "flips_table", "standings_table", "throughput_curves"]

Latency = Literal["ttft_p95_ms", "e2e_p95_ms"]
_NAMES = {"ttft_p95_ms": "Time to first token, p95", "e2e_p95_ms": "End-to-end latency, p95"}
WRAP = 76  # characters of a question on one line of the table of flips


def accuracy_vs_latency(comparison: Comparison, latency: Latency = "ttft_p95_ms") -> Figure:
    """Accuracy with its interval against a latency (ms) at the operating point; versions without one stand aside."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 5), layout="constrained")
    labels = sorted(row.label for row in comparison.standings)
    placed = [row for row in comparison.standings if getattr(row, latency) is not None]
    heights = _apart([row.accuracy for row in placed])
    for row, height in zip(placed, heights, strict=True):
        _mark(axes, row, getattr(row, latency), height, colour(row.label, labels))
    axes.set_xlim(0, max((getattr(row, latency) for row in placed), default=1) * 1.35)
    axes.set_ylim(0, 1)
    axes.set_xlabel(f"{_NAMES[latency]}, at the operating point (ms): further left is better")
    axes.set_ylabel("Share of questions answered correctly")
    row = comparison.standings[0]
    axes.set_title(
        f"Accuracy on {row.task} (n = {row.n}) against latency, bars: {row.interval.confidence:.0%} intervals"
    )
    missing = [row for row in comparison.standings if row not in placed]
    if missing:
        text = "No load met the SLO: " + ", ".join(f"{row.label} ({row.accuracy:.2f})" for row in missing)
        axes.text(0.02, 0.03, text, transform=axes.transAxes, fontsize=10)
    return figure


def _apart(heights: Sequence[float], least: float = 0.13) -> list[float]:
    """Return heights for the texts, pushed apart from the top down so that none covers another."""
    places: dict[int, float] = {}
    above = 2.0
    for index in sorted(range(len(heights)), key=lambda index: -heights[index]):
        above = places[index] = min(heights[index], above - least)
    return [places[index] for index in range(len(heights))]


def _mark(axes: Axes, row: Standing, latency: float, height: float, shade: str) -> None:
    below, above = row.accuracy - row.interval.low, row.interval.high - row.accuracy
    axes.errorbar(latency, row.accuracy, yerr=[[below], [above]], fmt="o", color=shade, capsize=5, markersize=9, lw=2)
    text = f"{row.label}\n{row.accuracy:.2f} ({row.interval.low:.2f} to {row.interval.high:.2f})"
    load = f"\n{row.requests_per_second:.1f} requests/s" if row.requests_per_second is not None else ""
    axes.annotate(text + load, (latency, height), (12, 0), textcoords="offset points", va="center", color=shade)


def throughput_curves(records: Sequence[Record], against: Literal["requests", "tokens"] = "requests") -> Figure:
    """TTFT p95 (ms) against achieved requests/s or output tokens/s, all versions in one plot, ring: operating point."""
    from matplotlib import pyplot, ticker

    figure, axes = pyplot.subplots(figsize=(9, 5), layout="constrained")
    labels = sorted({record.selection.label for record in records})
    for record in records:
        _curve(axes, record, against, colour(record.selection.label, labels))
    for limit in sorted({limit for record in records if (limit := record.sweep.slo.ttft_ms) is not None}):
        axes.axhline(limit, color="0.35", linestyle="--", linewidth=1.2)
        axes.annotate(
            f"SLO {limit:g} ms",
            (1, limit),
            (-4, 4),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            ha="right",
        )
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    axes.set_xlim(0, axes.get_xlim()[1] * 1.15)
    unit = "requests/s" if against == "requests" else "output tokens/s"
    axes.set_xlabel(f"Achieved throughput ({unit}): further right is better")
    axes.set_ylabel("Time to first token, p95 (ms, logarithmic)")
    axes.set_title("Latency under load (ring: operating point)")
    return figure


def _achieved(point: LoadPoint, against: str) -> float:
    return point.requests_per_second if against == "requests" else point.output_tokens_per_second


def _curve(axes: Axes, record: Record, against: str, shade: str) -> None:
    points = sorted(record.sweep.points, key=lambda point: point.concurrency)
    places = [(_achieved(point, against), point.ttft_ms.p95) for point in points if point.ttft_ms]
    if not places:
        return
    # In the order of the load: past saturation a curve may turn back.
    axes.plot(*zip(*places, strict=True), "o-", color=shade, markersize=5, linewidth=2)
    end = max(places)
    axes.annotate(
        record.selection.label, end, (8, 0), textcoords="offset points", va="center", color=shade, weight="bold"
    )
    chosen = record.sweep.chosen
    if chosen and chosen.ttft_ms:
        axes.plot(_achieved(chosen, against), chosen.ttft_ms.p95, "o", ms=14, mfc="none", mec=shade, mew=2)


def flips(comparison: Comparison, most: int = 20) -> Figure:
    """The questions on which the versions differ: a row each, a filled cell where the version was right."""
    from matplotlib import pyplot

    rows, labels = _each_kind(comparison.flips, most), [row.label for row in comparison.standings]
    heights = [textwrap.wrap(flip.text, WRAP) for flip in rows]
    size = 12, 1.3 + sum(_height(lines) for lines in heights)
    figure, axes = pyplot.subplots(figsize=size, layout="constrained")
    left, place = 5.6, 0.0
    for flip, lines in zip(rows, heights, strict=True):
        axes.text(0, place + _height(lines) / 2, "\n".join(lines), va="center", fontsize=9.5)
        for column, label in enumerate(labels):
            box = left + column * 2.2, place + 0.05, 2.1, _height(lines) - 0.1
            _cell(axes, box, flip.answers[label], flip.correct[label], colour(label, sorted(labels)))
        place += _height(lines)
    _frame(axes, comparison, labels, left, place, len(rows))
    return figure


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


def _each_kind(every: Sequence[Flip], most: int) -> list[Flip]:
    """Return at most so many questions, of each kind of difference as many as of the others, in their old order."""
    kinds: dict[tuple[bool, ...], list[int]] = {}
    for place, flip in enumerate(every):
        kinds.setdefault(tuple(flip.correct.values()), []).append(place)
    in_turn = [place for turn in zip_longest(*kinds.values()) for place in turn if place is not None]
    return [every[place] for place in sorted(in_turn[:most])]


def _frame(axes: Axes, comparison: Comparison, labels: Sequence[str], left: float, bottom: float, shown: int) -> None:
    for column, label in enumerate(labels):
        wins = sum(flip.correct[label] for flip in comparison.flips)
        text = f"{label}\nright on {wins} of {len(comparison.flips)}"
        axes.text(
            left + column * 2.2 + 1.05,
            -0.1,
            text,
            ha="center",
            va="bottom",
            weight="bold",
            color=colour(label, sorted(labels)),
        )
    more = f" ({shown} of {len(comparison.flips)})" if shown < len(comparison.flips) else ""
    axes.text(
        0, -0.1, f"Questions on which the versions differ{more}\nfilled: answered correctly", va="bottom", weight="bold"
    )
    axes.set_xlim(-0.05, left + len(labels) * 2.2)
    axes.set_ylim(bottom, -0.6)
    axes.axis("off")
