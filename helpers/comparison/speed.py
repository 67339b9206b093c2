"""What is known of a version's speed at its operating point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from helpers.artifacts import Interval, LoadPoint, Percentiles, Sweep
from helpers.artifacts.speed import nearly_meets
from helpers.statistics import mean_interval


def figures(point: LoadPoint) -> dict[str, float | None]:
    """Return a load point's figures under the names that a standing gives them."""

    def p95(metric: Percentiles | None) -> float | None:
        return metric.p95 if metric else None

    return {
        "requests_per_second": point.requests_per_second,
        "output_tokens_per_second": point.output_tokens_per_second,
        "ttft_p95_ms": p95(point.ttft_ms),
        "itl_p95_ms": p95(point.itl_ms),
        "e2e_p95_ms": p95(point.e2e_ms),
        "goodput": point.goodput,
        "slo_attainment": point.slo_attainment,
    }


def speed(sweep: Sweep) -> dict[str, Any]:
    """Return the figures at the operating point: the means of its repeats with their intervals, where it has some.

    The measurement that made a load the operating point was chosen for being good, its repeats were not.
    """
    if sweep.chosen is None:
        unknown = dict.fromkeys(["requests_per_second", "output_tokens_per_second", *_LATENCIES])
        return {**unknown, "slo_repeats": _held(sweep.not_held), "nearly_met": _nearly_met(sweep)}
    once, repeats = figures(sweep.chosen), _repeats(sweep)
    means = {name: sum(values) / len(values) for name, values in repeats.items()}
    noise = {name: _possible(name, found) for name, values in repeats.items() if (found := mean_interval(values))}
    measured = (sweep.chosen, *sweep.repeats)
    return {
        **once,
        **means,
        "next_load": sweep.next_load,
        "repeats": repeats,
        "noise": noise,
        "slo_repeats": _held(sweep.repeats),
        "limited_by_load_generator": any(point.limited_by_load_generator for point in measured),
        "saturated": sweep.chosen.saturated,
    }


_LATENCIES = ("ttft_p95_ms", "itl_p95_ms", "e2e_p95_ms")


def _nearly_met(sweep: Sweep) -> bool:
    """Whether noise may have decided that no load met the SLO: no interval of the repeats lies beyond its limit."""
    limits = {name: limit for name, limit in sweep.slo.model_dump().items() if limit}
    p95s = {name: [m.p95 for point in sweep.not_held if (m := getattr(point, name))] for name in limits}
    beyond = [found for name, limit in limits.items() if (found := mean_interval(p95s[name])) and found.low > limit]
    return not beyond and any(nearly_meets(point, sweep.slo) for point in sweep.points)


def _held(repeats: Sequence[LoadPoint]) -> tuple[int, int] | None:
    return (sum(point.meets_slo for point in repeats), len(repeats)) if repeats else None


def _possible(name: str, interval: Interval) -> Interval:
    """Return the interval as far as the figure can be: none is below 0, and no share above 1."""
    high = min(interval.high, 1.0) if name == "slo_attainment" else interval.high
    return interval.model_copy(update={"low": max(interval.low, 0.0), "high": high})


def _repeats(sweep: Sweep) -> dict[str, tuple[float, ...]]:
    """Return each figure's values, of those that every repeat has."""
    rows = [figures(point) for point in sweep.repeats]
    names = rows[0] if rows else ()
    return {
        name: tuple(known)
        for name in names
        if len(known := [v for r in rows if (v := r[name]) is not None]) == len(rows)
    }
