"""The comparison's figures and tables; accuracy against latency is the one that carries the answer."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from helpers.analysis.comparison import Comparison, Standing
from helpers.analysis.comparison.common_load import AtLoad
from helpers.analysis.recommendation import Decision
from helpers.reporting.plots import labels, style
from helpers.reporting.plots.categories import categories
from helpers.reporting.plots.decision import at, decision_table, weights
from helpers.reporting.plots.distributions import distributions
from helpers.reporting.plots.flips import flips
from helpers.reporting.plots.pyramid import pyramid
from helpers.reporting.plots.tables import flips_table, pairs_table, standings_table
from helpers.reporting.plots.throughput import throughput_curves
from helpers.reporting.plots.tiers import tiers_table, workloads

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "accuracy_vs_latency",
    "categories",
    "decision_table",
    "distributions",
    "flips",
    "flips_table",
    "pairs_table",
    "pyramid",
    "standings_table",
    "throughput_curves",
    "tiers_table",
    "weights",
    "workloads",
]

NAMED = 4  # versions without an operating point that the figure names
Latency = Literal["ttft_p95_ms", "e2e_p95_ms"]
_NAMES = {"ttft_p95_ms": "Time to first token, p95", "e2e_p95_ms": "End-to-end latency, p95"}


class Placed(NamedTuple):
    """A version with its latency at the load at which all are shown."""

    row: Standing
    there: AtLoad

    @property
    def at(self) -> tuple[float, float]:
        """Where its mark stands."""
        return self.there.value, self.row.accuracy


def accuracy_vs_latency(
    comparison: Comparison, latency: Latency = "ttft_p95_ms", decision: Decision | None = None
) -> Figure:
    """Accuracy against a latency (ms) at the load that all carry, each with its interval; the others are listed.

    With a decision, versions that miss a must-have or are no better in anything than another are hollow, others joined.
    Versions that are not shown by name are small and grey.
    """
    from matplotlib import pyplot

    load = decision.common_load if decision else comparison.common_load
    shown = decision.shown if decision else comparison.leading
    looks = style.looks(shown)
    found = [(row, row.at(load).get(latency)) for row in comparison.standings]
    placed = [Placed(row, there) for row, there in found if there]
    named = [each for each in placed if each.row.label in looks]
    front = {option.label for option in decision.options if option.on_front} if decision else set(shown)
    with pyplot.rc_context(style.RC):
        figure, axes = pyplot.subplots(figsize=(10, labels.room(len(named), 2)), layout="constrained")
        _others(axes, [each.at for each in placed if each.row.label not in looks])
        for each in named:
            _mark(axes, each, looks[each.row.label], each.row.label in front)
        _front(axes, [each.at for each in placed if each.row.label in front and decision])
        _frame(axes, comparison, placed, latency, load)
        labels.in_a_column(
            axes, [labels.Label(*each.at, _said(each.row), looks[each.row.label]) for each in named]
        )  # fmt: skip
    return style.finished(figure)


def _others(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    if points:
        axes.plot(*zip(*points, strict=True), ".", color=style.GREY, alpha=0.5, markersize=5, label="others")


def _front(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    if len(points) > 1:
        axes.plot(*zip(*sorted(points), strict=True), "--", color=style.GREY, linewidth=1.2, zorder=0)


def _mark(axes: Axes, placed: Placed, look: style.Look, filled: bool) -> None:
    row, (value, accuracy), noise = placed.row, placed.at, placed.there.noise
    errors: dict[str, Any] = {"yerr": [[accuracy - row.interval.low], [row.interval.high - accuracy]]}
    if noise:
        errors["xerr"] = [[max(value - noise.low, 0.0)], [max(noise.high - value, 0.0)]]
    axes.errorbar(
        value,
        accuracy,
        **errors,
        fmt=look.marker,
        color=look.colour,
        mfc=look.colour if filled else "white",
        capsize=4,
        elinewidth=1.4,
        markersize=9,
    )


def _said(row: Standing) -> str:
    bounds = f"{row.accuracy:.2f} ({row.interval.low:.2f} to {row.interval.high:.2f})"
    load = f", {row.requests_per_second:.1f} requests/s" if row.requests_per_second is not None else ""
    return f"{style.short(row.label)}\n{bounds}{load}"


def _frame(axes: Axes, comparison: Comparison, placed: Sequence[Placed], latency: Latency, load: float | None) -> None:
    best, widest = comparison.standings[0], max((each.there.value for each in placed), default=1.0)
    low = min([*(each.row.interval.low for each in placed), best.chance or 1.0])
    reach = max((noise.high for each in placed if (noise := each.there.noise)), default=0.0)
    axes.set_xlim(0, min(max(widest * 1.15, reach * 1.05), widest * 2))
    axes.set_ylim(min(max(math.floor(low * 10 - 0.2) / 10, 0), 0.5), 1)
    axes.set_xlabel(f"{_NAMES[latency]}{at(load)} (ms): further left is better")
    axes.set_ylabel("Share of questions answered correctly" if best.kind == "proportion" else "Mean score")
    what = f", {best.partial}" if best.partial else ""
    axes.set_title(f"{best.task} (n = {best.n}{what}), bars: what chance may have done")
    if best.chance:
        axes.axhline(best.chance, color=style.GREY, linestyle=":")
        where: Any = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        axes.annotate(f"guessing {best.chance:.2f}", (0, best.chance), (4, 3), color=style.INK, **where)
    limit = comparison.limit("ttft_ms" if latency == "ttft_p95_ms" else "e2e_ms")
    if limit and limit < axes.get_xlim()[1]:
        axes.axvline(limit, color=style.LIMIT, linestyle=":")
        where = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "ha": "right", "va": "top"}
        axes.annotate(f"SLO {limit:g} ms", (limit, 1), (-5, -3), color=style.LIMIT, **where)
    shown = {each.row.label for each in placed}
    missing = [row for row in comparison.standings if row.label not in shown]
    kinds = {"No load met the SLO": [row for row in missing if not row.curve]}
    kinds[f"Not known{at(load)}"] = [row for row in missing if row.curve]
    text = ". ".join(f"{why}: {_listed(rows)}" for why, rows in kinds.items() if rows)
    if text:
        axes.text(0.02, 0.03, textwrap.fill(text, 80), transform=axes.transAxes, fontsize=9.5, bbox=style.BEHIND)


def _listed(rows: Sequence[Standing]) -> str:
    names = [f"{style.short(row.label)} ({row.accuracy:.2f})" for row in rows[:NAMED]]
    return ", ".join([*names, *([f"{len(rows) - NAMED} more"] if len(rows) > NAMED else [])])
