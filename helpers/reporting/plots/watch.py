"""What serves: each figure over time with SLO and baseline as lines, and the canary questions' control chart."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from helpers.artifacts.observation import Observation, Seen
from helpers.reporting.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

COLUMNS = 3
MOST_TIMES = 12  # that stand below a control chart
SHOWN = {"s": (1000, "ms"), "share": (100, "%")}  # factor and unit of a panel


def panels(seen: Observation) -> Figure:
    """Return one panel for each figure: what was seen, the limit, and what the record measured."""
    import matplotlib.pyplot as plt

    with plt.rc_context(style.RC):
        rows = -(-len(seen.signals) // COLUMNS)
        figure, axes = plt.subplots(rows, COLUMNS, figsize=(15, 2.7 * rows), squeeze=False)
        for place, signal in zip(axes.flat, seen.signals, strict=False):
            _panel(place, signal, seen)
        for place in axes.flat[len(seen.signals) :]:
            place.set_axis_off()
        named = [item for place in axes.flat for item in zip(*place.get_legend_handles_labels(), strict=True)]
        handles = {label: line for line, label in named}
        figure.suptitle(f"{seen.label}: {seen.started:%d %b %H:%M} to {seen.ended:%d %b %H:%M} UTC", x=0.01, ha="left")
        figure.legend(handles.values(), handles.keys(), loc="upper right", ncols=3)
        figure.tight_layout(rect=(0, 0, 1, 0.98))
        plt.close(figure)
        return figure


def _panel(place: Axes, signal: Seen, seen: Observation) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    factor, unit = SHOWN.get(signal.unit, (1, signal.unit))
    times = [datetime.fromtimestamp(when, UTC) for when, _ in signal.points]
    place.plot(times, [value * factor for _, value in signal.points], color=style.COLOURS[0], label="seen")  # type: ignore[arg-type]
    for value, label, colour, line in (
        (signal.limit, "SLO or limit", style.LIMIT, "-"), (signal.baseline, "measured", style.GREY, "--")
    ):  # fmt: skip
        if value is not None:
            place.axhline(value * factor, color=colour, linestyle=line, linewidth=1.5, label=label)
    if not signal.points:
        place.text(0.5, 0.5, "no requests", transform=place.transAxes, ha="center", color=style.GREY)
    place.set_title(f"{signal.title} ({unit})", fontsize=10, fontweight="normal")
    place.set_xlim(seen.started, seen.ended)  # type: ignore[arg-type]
    place.set_ylim(bottom=0)
    locator = AutoDateLocator(maxticks=5)  # type: ignore[no-untyped-call]
    place.xaxis.set_major_locator(locator)
    place.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))  # type: ignore[no-untyped-call]


def fired_table(seen: Observation) -> DataFrame:
    """Return one row for each alert that held, those that still fire first."""
    from pandas import DataFrame

    shown = ("alert", "summary", "since", "until", "severity", "action")
    return DataFrame([each.model_dump(include={*shown}) for each in seen.fired], columns=list(shown))


def control_chart(looks: Sequence[Observation]) -> Figure | None:
    """Return the canary questions' score at each look between its control limits; None where nobody asked any."""
    import matplotlib.pyplot as plt

    found = [(each.ended, each.canary) for each in looks if each.canary]
    if not found:
        return None
    last = found[-1][1]
    with plt.rc_context(style.RC):
        figure, axes = plt.subplots(figsize=(10, 3.5))
        for place, (_, look) in enumerate(found):
            for value, label, line in (
                (look.expected, "the record", "-"), (look.low, "control limits", "--"), (look.high, "", "--")
            ):  # fmt: skip
                shown = label if place == 0 and label else "_nolegend_"
                axes.hlines(100 * value, place - 0.5, place + 0.5, color=style.GREY, linestyle=line, label=shown)
        axes.plot([100 * look.score for _, look in found], color=style.COLOURS[0], marker="o", label="asked now")
        outside = [(place, 100 * look.score) for place, (_, look) in enumerate(found) if look.outside]
        for place, score in outside:
            axes.plot(place, score, "o", color=style.BAD, markersize=11)
            axes.annotate("look", (place, score), xytext=(0, -18), textcoords="offset points", ha="center")
        step = -(-len(found) // MOST_TIMES)
        axes.set_xticks(range(0, len(found), step), [f"{when:%d %b\n%H:%M}" for when, _ in found][::step])
        axes.set_xlim(-0.6, len(found) - 0.4)
        axes.set_ylim(0, 100)
        axes.set_title(f"{last.answered} questions of {last.evaluation}: share right (%)")
        axes.legend(loc="upper left", ncols=3)
        figure.tight_layout()
        plt.close(figure)
        return figure
