"""The choice: a table of the options, and how the ranking changes with the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from helpers.comparison.verdict import names
from helpers.decision import Decision, Option
from helpers.decision.ranking import criteria, score
from helpers.plots import labels, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

NOT_KNOWN = "n/a"
STEPS = 50


def decision_table(decision: Decision) -> DataFrame:
    """One row per version that is shown, best first: gates, capacity, cost; "n/a" without a price or a measurement."""
    from pandas import DataFrame

    options = [option for option in decision.options if option.label in decision.shown]
    table = DataFrame([_row(option, decision.currency) for option in options], index=[each.label for each in options])
    table.index.name = "version"
    return table


def _row(option: Option, currency: str) -> dict[str, str]:
    missed = [gate.asked for gate in option.gates if gate.state == "missed"]
    unsure = [gate.asked for gate in option.gates if gate.state == "unsure"]
    gates = "; ".join([*(f"misses {asked}" for asked in missed), *(f"unsure: {asked}" for asked in unsure)]) or "met"
    return {
        "rank": NOT_KNOWN if option.rank is None else str(option.rank),
        "must-haves": gates,
        "accuracy": f"{option.accuracy:.3f}",
        "TTFT p95 (ms)": _number(option.ttft_p95_ms, 0),
        "requests/s a replica": _number(option.requests_per_second, 1),
        "replicas": _number(option.replicas, 0),
        f"{currency}/hour": _number(option.cost_per_hour, 2),
        f"{currency}/1,000 requests": _number(option.cost_per_thousand_requests, 4),
        f"{currency}/1M output tokens": _number(option.cost_per_million_output_tokens, 3),
        "cold start (s)": _number(option.startup_seconds, 0),
        "beaten in everything by": names(option.dominated_by) or "none",
        "first in weightings": NOT_KNOWN if option.first_share is None else f"{option.first_share:.0%}",
    }


def _number(value: float | None, digits: int) -> str:
    return NOT_KNOWN if value is None else f"{value:,.{digits}f}"


def weights(decision: Decision) -> Figure:
    """Score of each version that meets the must-haves, for every weight of quality; the line is the weight in use."""
    from matplotlib import pyplot

    eligible = [option for option in decision.options if option.eligible]
    looks = style.looks(decision.shown)
    shares, (quality, latency, cost) = criteria(eligible), decision.weights
    other = latency + cost
    split = (latency / other, cost / other) if other else (0.5, 0.5)
    places = [step / STEPS for step in range(STEPS + 1)]
    with pyplot.rc_context(style.RC):
        figure, axes = pyplot.subplots(figsize=(10, max(4.0, labels.room(len(looks)) - 1)), layout="constrained")
        ends = []
        for label, look in looks.items():
            if label not in shares:
                continue
            heights = [score(shares[label], (w, (1 - w) * split[0], (1 - w) * split[1])) for w in places]
            axes.plot(places, heights, look.line, color=look.colour, marker=look.marker, markevery=5, markersize=5)
            ends.append(labels.Label(1, heights[-1], style.short(label), look))
        axes.axvline(quality / (quality + other), color=style.INK, linestyle=":")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.05)
        axes.set_xlabel(
            "Weight of quality; the rest is shared by latency and cost as given (dotted: the weights in use)"
        )
        axes.set_ylabel("Score, 1 is best in everything")
        axes.set_title("How the ranking depends on the weights")
        labels.in_a_column(axes, ends)
    return style.finished(figure)
