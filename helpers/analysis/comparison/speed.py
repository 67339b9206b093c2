"""What is known of a version's speed at its operating point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from helpers.analysis.comparison.common_load import LATENCIES, curve
from helpers.artifacts import Interval, LoadPoint, LoadTest
from helpers.artifacts.speed import figures, nearly_meets
from helpers.statistics import mean_interval

UNKNOWN = dict.fromkeys(["requests_per_second", "output_tokens_per_second", *LATENCIES])


def speed(sweep: LoadTest | None) -> dict[str, Any]:
    """Return what was asked, and the headline's figures with values and intervals of the repeats, where there are some.

    Of a version without a load test nothing is known.
    """
    if sweep is None:
        return {**UNKNOWN, "operating_point": "no load was measured", "slo": "{}", "workload": ""}
    asked = {
        "load_test": sweep.name,
        "operating_point": sweep.operating_point.reason,
        "slo": sweep.slo.model_dump_json(exclude_none=True),
        "workload": sweep.workload,
    }
    return asked | _measured(sweep)


def _measured(sweep: LoadTest) -> dict[str, Any]:
    if sweep.chosen is None or sweep.headline is None:
        return {**UNKNOWN, "slo_repeats": _held(sweep.not_held), "nearly_met": _nearly_met(sweep)}
    repeats = _repeats(sweep)
    noise = {name: _possible(name, found) for name, values in repeats.items() if (found := mean_interval(values))}
    measured = (sweep.chosen, *sweep.repeats)
    return {
        **figures(sweep.headline),
        "curve": curve(sweep),
        "next_load": sweep.next_load,
        "repeats": repeats,
        "noise": noise,
        "slo_repeats": _held(sweep.repeats),
        "limited_by_load_generator": any(point.limited_by_load_generator for point in measured),
        "saturated": sweep.chosen.saturated,
    }


def _nearly_met(sweep: LoadTest) -> bool:
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


def _repeats(sweep: LoadTest) -> dict[str, tuple[float, ...]]:
    """Return each figure's values, of those that every repeat has."""
    rows = [figures(point) for point in sweep.repeats]
    names = rows[0] if rows else ()
    return {
        name: tuple(known)
        for name in names
        if len(known := [v for r in rows if (v := r[name]) is not None]) == len(rows)
    }
