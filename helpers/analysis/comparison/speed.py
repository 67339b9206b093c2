"""What is known of a version's speed at its operating point, from every start of its server that was measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

from helpers.analysis.comparison.common_load import LATENCIES, Session, curve, other_sessions, pooled
from helpers.artifacts import Interval, LoadPoint, LoadTest, Record
from helpers.artifacts.speed import figures
from helpers.statistics import half_width, mean_interval

ERRORS = 0.01  # share of failed requests: more of them are no matter of latency

UNKNOWN = dict.fromkeys(["requests_per_second", "output_tokens_per_second", *LATENCIES])


def sessions(record: Record, records: Iterable[Record], sweep: LoadTest | None = None) -> tuple[LoadTest, ...]:
    """Return the load test, then those of the record's version that measured the same on another start of its server.

    It is the record's first one where none is named; a record without one has no session.
    """
    if sweep is None:
        return sessions(record, records, record.load_tests[0]) if record.load_tests else ()
    alike = [
        each
        for other in records
        if (other.label, other.selection.digest) == (record.label, record.selection.digest)
        for each in other.load_tests
        if sweep.identity and (each.name, each.identity) == (sweep.name, sweep.identity)
    ]
    # One that was taken over began when the original did: it is the same session.
    others = {each.started: each for each in alike if each.started != sweep.started}
    return sweep, *others.values()


def session(test: LoadTest) -> Session:
    """Return what a load test measured; its `repeats` are the figures that each repeat has."""
    rows = [figures(point) for point in test.repeats]
    names = rows[0] if rows else ()
    known = {name: tuple(v for row in rows if (v := row[name]) is not None) for name in names}
    return Session(
        curve=curve(test), repeats={name: values for name, values in known.items() if len(values) == len(rows)}
    )


def speed(tests: Sequence[LoadTest]) -> dict[str, Any]:
    """Return what was asked, and the headline's figures with values and intervals of the repeats, where there are some.

    Of several sessions, the first of which counts as the version's own, the figures are means. Of a version without a
    load test nothing is known.
    """
    if not tests:
        return {**UNKNOWN, "operating_point": "no load was measured", "slo": "{}", "workload": ""}
    sweep = tests[0]
    asked = {
        "load_test": sweep.name,
        "operating_point": sweep.operating_point.reason,
        "slo": sweep.slo.model_dump_json(exclude_none=True),
        "workload": sweep.workload,
    }
    return asked | _measured(tests)


def _measured(tests: Sequence[LoadTest]) -> dict[str, Any]:
    sweep = tests[0]
    held = [test for test in tests if test.headline]
    if sweep.chosen is None or sweep.headline is None:
        return {**UNKNOWN, "slo_repeats": _held(sweep.not_held), "nearly_met": bool(held) or _nearly_met(sweep)}
    of_each = [session(test) for test in held]
    values = {name: pooled([each.repeats.get(name, ()) for each in of_each]) for name in of_each[0].repeats}
    noise = {name: _possible(name, found) for name, each in values.items() if (found := mean_interval(each))}
    measured = [point for test in held if test.chosen for point in (test.chosen, *test.repeats)]
    next_loads = [test.next_load for test in held]
    return {
        **means(held),
        "curve": of_each[0].curve,
        "repeats": of_each[0].repeats,
        "other_sessions": tuple(of_each[1:]),
        "missed_sessions": len(tests) - len(held),
        "next_load": None if None in next_loads else max(load for load in next_loads if load is not None),
        "noise": noise,
        "slo_repeats": _held([point for test in held for point in test.repeats]),
        "limited_by_load_generator": any(point.limited_by_load_generator for point in measured),
        "saturated": any(test.chosen.saturated for test in held if test.chosen),
    }


def means(tests: Sequence[LoadTest]) -> dict[str, float | None]:
    """Return the headlines' figures, of several sessions their means; None for what one of them lacks."""
    rows = [figures(test.headline) for test in tests if test.headline]
    known = {name: [value for row in rows if (value := row[name]) is not None] for name in rows[0]}
    return {name: fmean(values) if len(values) == len(rows) else None for name, values in known.items()}


def _nearly_met(sweep: LoadTest) -> bool:
    """Whether a load that missed the SLO in this session may meet it in another one."""
    limits = {name: limit for name, limit in sweep.slo.model_dump().items() if limit}
    factor = math.exp(half_width(other_sessions(1)))
    slow = [point for point in (*sweep.points, *sweep.not_held) if point.enough and not point.short_of]
    return bool(limits) and any(
        point.error_share <= ERRORS
        and all((m := getattr(point, name)) and m.p95 <= factor * limit for name, limit in limits.items())
        for point in slow
    )


def _held(points: Sequence[LoadPoint]) -> tuple[int, int] | None:
    return (sum(point.meets_slo for point in points), len(points)) if points else None


def _possible(name: str, interval: Interval) -> Interval:
    """Return the interval as far as the figure can be: none is below 0, and no share above 1."""
    high = min(interval.high, 1.0) if name == "slo_attainment" else interval.high
    return interval.model_copy(update={"low": max(interval.low, 0.0), "high": high})
