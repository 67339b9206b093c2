"""The choice: a table of the options, and how the ranking changes with the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from helpers.analysis.comparison.verdict import names
from helpers.analysis.recommendation import Decision, Option
from helpers.analysis.recommendation.ranking import utilities
from helpers.reporting.plots import labels, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

NOT_KNOWN = "n/a"
STEPS = 50


def decision_table(decision: Decision) -> DataFrame:
    """One row per version that is shown, best first: gates, capacity, cost; "n/a" without a price or a measurement."""
    from pandas import DataFrame

    options = [option for option in decision.options if option.label in decision.shown]
    rows = [_row(option, decision) for option in options]
    table = DataFrame(rows, index=[each.label for each in options])
    table.index.name = "version"
    return table


def _row(option: Option, decision: Decision) -> dict[str, str]:
    currency = decision.currency
    missed = [gate.asked for gate in option.missed]
    unsure = [gate.asked for gate in option.gates if gate.state == "unsure"]
    gates = (
        "; ".join([*(f"misses: {asked}" for asked in missed), *(f"hardly met: {asked}" for asked in unsure)]) or "met"
    )
    return {
        "rank": NOT_KNOWN if option.rank is None else str(option.rank),
        "must-haves": gates,
        "accuracy": f"{option.accuracy:.3f}",
        "above guessing": f"{option.quality:.0%}",
        f"TTFT p95 (ms){at(decision.common_load)}": _number(option.ttft_p95_ms, 0),
        "requests/s a replica": _number(option.requests_per_second, 1),
        "replicas": _number(option.replicas, 0),
        f"{currency}/hour": _number(option.cost_per_hour, 2),
        f"{currency}/1,000 requests": _number(option.cost_per_thousand_requests, 4),
        f"{currency}/1M output tokens": _number(option.cost_per_million_output_tokens, 3),
        "cold start (s)": _number(option.startup_seconds, 0),
        "no better in anything than": names(option.dominated_by) or "none",
    }


def at(load: float | None) -> str:
    """Return " at … requests/s", "" where there is no load."""
    return f" at {load:.1f} requests/s" if load else ""


def _number(value: float | None, digits: int) -> str:
    return NOT_KNOWN if value is None else f"{value:,.{digits}f}"


def weights(decision: Decision) -> Figure:
    """Score of each version that meets the must-haves, for every weight of the criteria's first line that has one.

    The dotted line is the weight in use.
    """
    from matplotlib import pyplot

    eligible = [option for option in decision.options if option.eligible]
    looks = style.looks(decision.shown)
    parts, (line, *others) = utilities(eligible, decision.weights), decision.weights
    rest = sum(decision.weights[other] for other in others) or 1.0
    split = {other: decision.weights[other] / rest for other in others}
    places = [step / STEPS for step in range(STEPS + 1)]
    with pyplot.rc_context(style.RC):
        figure, axes = pyplot.subplots(figsize=(10, max(4.0, labels.room(len(looks)) - 1)), layout="constrained")
        ends = []
        for label, look in looks.items():
            if label not in parts:
                continue
            shared = sum(share * parts[label][other] for other, share in split.items())
            heights = [w * parts[label][line] + (1 - w) * (shared if split else parts[label][line]) for w in places]
            axes.plot(places, heights, look.line, color=look.colour, marker=look.marker, markevery=5, markersize=5)
            ends.append(labels.Label(1, heights[-1], style.short(label), look))
        axes.axvline(decision.weights[line] / sum(decision.weights.values()), color=style.INK, linestyle=":")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.05)
        shared_by = f"; the rest is shared by {' and '.join(others)} as given" if others else ""
        axes.set_xlabel(f"Weight of {line}{shared_by} (dotted: the weights in use)")
        axes.set_ylabel("Score, 0 to 1")
        axes.set_title("How the ranking depends on the weights")
        if not eligible:
            axes.text(0.5, 0.5, "No version meets the must-haves", transform=axes.transAxes, ha="center")
        labels.in_a_column(axes, ends)
    return style.finished(figure)
