"""Latency under load, all versions in one plot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from helpers.artifacts import Headline, LoadPoint, Record
from helpers.reporting.plots import labels, style

ABOVE = 1.3  # times a limit: room for its name below the title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def throughput_curves(records: Sequence[Record], against: Literal["requests", "tokens"] = "requests") -> Figure:
    """TTFT p95 (ms) against achieved requests/s or output tokens/s, all versions in one plot.

    A ring is the headline: the operating point, as the mean of its repeats.
    """
    from matplotlib import pyplot

    looks = style.looks(record.label for record in records)
    unit = "requests/s" if against == "requests" else "output tokens/s"
    with pyplot.rc_context(style.RC):
        figure, axes = pyplot.subplots(figsize=(10, labels.room(len(records))), layout="constrained")
        for record in records:
            _curve(axes, record, against, looks[record.label])
        _scale(axes)
        _limits(axes, records)
        axes.set_xlabel(f"Achieved throughput ({unit}): further right is better")
        axes.set_ylabel("Time to first token, p95 (ms, logarithmic)")
        axes.set_title("Latency under load (ring: operating point, mean of its repeats)")
        labels.in_a_column(axes, [label for record in records for label in _label(record, against, looks)])
    return style.finished(figure)


def _scale(axes: Axes) -> None:
    from matplotlib import ticker

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    axes.set_xlim(0, axes.get_xlim()[1])


def _limits(axes: Axes, records: Sequence[Record]) -> None:
    for limit in sorted({limit for record in records if (limit := record.sweep.slo.ttft_ms) is not None}):
        axes.axhline(limit, color=style.LIMIT, linestyle=":")
        where: Any = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "ha": "right"}
        axes.annotate(f"SLO {limit:g} ms", (1, limit), (-4, 4), color=style.LIMIT, bbox=style.BEHIND, **where)
        axes.set_ylim(top=max(axes.get_ylim()[1], ABOVE * limit))


def _achieved(point: LoadPoint | Headline, against: str) -> float:
    return point.requests_per_second if against == "requests" else point.output_tokens_per_second


def _places(record: Record, against: str) -> list[tuple[float, float]]:
    """Return the points in the order of the load: past saturation a curve may turn back."""
    points = sorted(record.sweep.points, key=lambda point: point.concurrency)
    return [(_achieved(point, against), point.ttft_ms.p95) for point in points if point.ttft_ms]


def _curve(axes: Axes, record: Record, against: str, look: style.Look) -> None:
    places = _places(record, against)
    if not places:
        return
    axes.plot(*zip(*places, strict=True), look.line, marker=look.marker, color=look.colour, markersize=5)
    headline = record.sweep.headline
    if headline and headline.ttft_ms:
        axes.plot(_achieved(headline, against), headline.ttft_ms.p95, "o", ms=14, mfc="none", mec=look.colour, mew=2)


def _label(record: Record, against: str, looks: dict[str, style.Look]) -> list[labels.Label]:
    name = record.label
    return [
        labels.Label(*max(places), style.short(name), looks[name]) for places in [_places(record, against)] if places
    ]
