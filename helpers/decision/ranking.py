"""The Pareto front and a ranking by weights; quantities of different kinds are never added."""

from __future__ import annotations

import math
from collections.abc import Sequence

from helpers.decision.contract import Option

Weights = tuple[float, float, float]
STEPS = 20  # the triangle of all weightings is looked at in steps of one twentieth


def criteria(options: Sequence[Option]) -> dict[str, Weights]:
    """Return each option's quality, latency and cost as a share of the best among them, 1 for the best.

    Without a latency or a price for every option that criterion says nothing, and counts 1 for all.
    """
    quality = [option.accuracy for option in options]
    latency = _shares([option.ttft_p95_ms for option in options])
    cost = _shares([option.cost_per_thousand_requests for option in options])
    top = max(quality, default=0.0) or 1.0
    rows = zip(options, quality, latency, cost, strict=True)
    return {option.label: (good / top, quick, cheap) for option, good, quick, cheap in rows}


def counting(options: Sequence[Option], weights: Weights) -> Weights:
    """Return the weights with 0 for latency or cost where not every option has it: that criterion says nothing."""
    has_latency = all(option.ttft_p95_ms for option in options)
    has_cost = all(option.cost_per_thousand_requests for option in options)
    quality, latency, cost = weights
    return quality, latency if has_latency else 0.0, cost if has_cost else 0.0


def _shares(values: Sequence[float | None]) -> list[float]:
    known = [value for value in values if value]
    if len(known) < len(values):
        return [1.0] * len(values)
    return [min(known) / value for value in known]


def score(shares: Weights, weights: Weights) -> float:
    """Return the weighted geometric mean of the three shares: twice as slow costs the same at every level."""
    total = sum(weights)
    if any(share == 0 and weight for share, weight in zip(shares, weights, strict=True)):
        return 0.0
    return math.exp(
        sum(weight * math.log(share) for share, weight in zip(shares, weights, strict=True) if weight) / total
    )


def ranked(options: Sequence[Option], weights: Weights) -> list[str]:
    """Return the labels, best first; equal scores go by quality, then by name."""
    shares = criteria(options)
    return sorted(shares, key=lambda label: (-score(shares[label], weights), -shares[label][0], label))


def first_shares(options: Sequence[Option]) -> dict[str, float]:
    """Return in which share of all weightings each option ranks first."""
    firsts = [ranked(options, weights)[0] for weights in weightings()] if options else []
    return {option.label: firsts.count(option.label) / len(firsts) for option in options}


def weightings() -> list[Weights]:
    """Return weights that sum to 1, evenly over the triangle of all of them."""
    grid = range(STEPS + 1)
    return [(a / STEPS, b / STEPS, (STEPS - a - b) / STEPS) for a in grid for b in grid if a + b <= STEPS]


def dominated_by(options: Sequence[Option]) -> dict[str, tuple[str, ...]]:
    """Return for each option those that are as good in quality, latency and cost, and better in one of them."""
    shares = criteria(options)
    return {
        mine: tuple(
            theirs
            for theirs in shares
            if all(b >= a for a, b in zip(shares[mine], shares[theirs], strict=True)) and shares[theirs] != shares[mine]
        )
        for mine in shares
    }
