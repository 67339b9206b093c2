"""The Pareto front and a ranking by weights; quantities of different kinds are never added."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from helpers.analysis.recommendation.contract import Option
from helpers.datasets.criteria import COST, LATENCY, better, kind

Weights = Mapping[str, float]  # by the criteria's lines
# So many times as slow or as dear as the best of them counts 0; beyond that nothing more is lost.
BOUND = 10.0


def utilities(options: Sequence[Option], lines: Iterable[str]) -> dict[str, dict[str, float]]:
    """Return how good each option is by each line, from 0 to 1, so that none can outweigh more than its weight.

    A score counts by what is above chance. A figure or a cost is 1 for the best, less by the same for each doubling.
    What is not known of every option says nothing, and counts 1 for all.
    """
    columns = {line: _column(options, line) for line in lines}
    return {
        option.label: {line: column[place] for line, column in columns.items()} for place, option in enumerate(options)
    }


def best_of(options: Sequence[Option], line: str) -> float:
    """Return the best value of a line among the options, 0 where none is known."""
    known = [value for option in options if (value := option.value(line))]
    return (min if better(line) == "lower" else max)(known, default=0.0)


def utility(value: float, best: float, line: str = LATENCY) -> float:
    """Return how good a figure is beside the best: 1 for the same, 0 for BOUND times as bad or worse."""
    if better(line) == "higher":
        value, best = best, value
    return max(1 - math.log(value / best, BOUND), 0.0) if best > 0 else 0.0


def counting(options: Sequence[Option], weights: Weights) -> dict[str, float]:
    """Return the weights, 0 for what is not known of every option: that says nothing."""
    return {
        line: weight if kind(line) == "evaluation" or all(option.value(line) for option in options) else 0.0
        for line, weight in weights.items()
    }


def _column(options: Sequence[Option], line: str) -> list[float]:
    if kind(line) == "evaluation":
        return [option.quality for option in options]
    values = [option.value(line) for option in options]
    known, best = [value for value in values if value], best_of(options, line)
    if len(known) < len(values):
        return [1.0] * len(values)
    return [utility(value, best, line) for value in known]


def score(parts: Mapping[str, float], weights: Weights) -> float:
    """Return the weighted mean of the parts."""
    return sum(weight * parts[line] for line, weight in weights.items()) / sum(weights.values())


def ranked(options: Sequence[Option], weights: Weights) -> list[str]:
    """Return the labels, best first; equal scores go by quality, then by name."""
    parts, quality = utilities(options, weights), {option.label: option.quality for option in options}
    return sorted(parts, key=lambda label: (-score(parts[label], weights), -quality[label], label))


def dominated_by(options: Sequence[Option], weights: Weights) -> dict[str, tuple[str, ...]]:
    """Return for each option those that are as good in all that counts, and better in one of them.

    Quality, time to first token and cost are looked at whether they have a weight or not.
    """
    others = [line for line in dict.fromkeys((LATENCY, *weights, COST)) if kind(line) != "evaluation"]
    columns = [[option.quality for option in options], *(_comparable(options, line) for line in others)]
    rows = {option.label: row for option, row in zip(options, zip(*columns, strict=True), strict=True)}
    return {
        mine: tuple(
            theirs
            for theirs in rows
            if all(b >= a for a, b in zip(rows[mine], rows[theirs], strict=True)) and rows[theirs] != rows[mine]
        )
        for mine in rows
    }


def _comparable(options: Sequence[Option], line: str) -> list[float]:
    """Return a line's values with more for better; 0 for all where one is not known."""
    sign = -1 if better(line) == "lower" else 1
    known = [sign * value for option in options if (value := option.value(line))]
    return known if len(known) == len(options) else [0.0] * len(options)
