"""Latencies of several versions at one load: measured there, or between two loads with what that leaves open."""

from __future__ import annotations

import math
from collections import Counter
from datetime import timedelta

import pytest
from numpy.random import default_rng

from helpers.analysis.comparison import compare
from helpers.analysis.comparison.common_load import (
    Measured,
    at_load,
    common_load,
    curve,
    differ,
    over_sessions,
    pooled,
)
from helpers.analysis.comparison.speed import session
from helpers.analysis.gate.judging import judge
from helpers.datasets.criteria import LATENCY, Criteria
from tests.plugins.contests import Model
from tests.plugins.contests import swept as noisy
from tests.plugins.records import START, a_point, a_record, a_sweep, holding, some_samples
from tests.plugins.stored import repeated

TTFT = "ttft_p95_ms"
REPEATS = (98.0, 100.0, 102.0)
POINTS = tuple(
    Measured(requests_per_second=load, latencies={TTFT: wait}, alone=load == 1)
    for load, wait in ((1, 40), (4, 50), (10, 100))
)


def test_the_curve_ends_at_the_operating_point_with_the_mean_of_its_repeats():
    sweep = repeated(a_sweep())
    found = curve(sweep)
    assert [each.requests_per_second for each in found] == sorted(each.requests_per_second for each in found)
    assert found[-1].latencies[TTFT] == sweep.headline.ttft_ms.p95 != sweep.chosen.ttft_ms.p95
    assert len(found) == sweep.operating_point.index + 1
    assert curve(a_sweep(none_meets=True)) == ()


def test_what_measured_nothing_is_no_part_of_the_curve():
    sweep = a_sweep()
    bad = [{"enough": False}, {"short_of": 30.0}, {"limited_by_load_generator": True}]
    points = [point.model_copy(update=change) for point, change in zip(sweep.points, bad, strict=False)]
    worse = sweep.model_copy(update={"points": (*points, *sweep.points[len(bad) :])})
    assert len(curve(worse)) == len(curve(sweep)) - len(bad)


def test_the_common_load_is_the_highest_that_all_carry():
    assert common_load([POINTS, POINTS[:2], ()]) == 4
    assert common_load([(), ()]) is None


def test_at_the_operating_point_it_is_what_was_measured():
    found = at_load(POINTS, TTFT, 10, REPEATS)
    assert (found.value, found.low, found.high, found.exact) == (100, 100, 100, True)
    assert found.noise.low < 98 < 102 < found.noise.high
    assert found.around(100) == pytest.approx([math.log(each) for each in REPEATS], abs=1e-3)


def test_between_two_loads_it_is_between_their_latencies_and_may_be_either():
    found = at_load(POINTS, TTFT, 7, REPEATS)
    assert (found.low, found.high, found.exact) == (50, 100, False)
    assert found.value == pytest.approx(math.sqrt(50 * 100))
    assert found.noise.low < 50 < 100 < found.noise.high
    single, mean = found.scatter, at_load(POINTS, TTFT, 10, REPEATS).scatter
    assert math.log(single[0]) == pytest.approx(math.sqrt(3) * math.log(mean[0])), "no mean of three was measured there"


def test_below_one_request_at_a_time_nothing_is_quicker_and_below_another_load_nothing_is_known():
    assert (at_load(POINTS, TTFT, 0.5, REPEATS).low, at_load(POINTS, TTFT, 0.5, REPEATS).high) == (40, 40)
    assert at_load(POINTS[1:], TTFT, 0.5, REPEATS).low == 0


def test_above_the_operating_point_and_without_the_latency_there_is_none():
    assert at_load(POINTS, TTFT, 10.5, REPEATS) is None
    assert at_load(POINTS, "itl_p95_ms", 4, REPEATS) is None
    assert at_load((), TTFT, 4, REPEATS) is None


def test_two_differ_only_where_interpolation_leaves_no_doubt():
    slow = tuple(each.model_copy(update={"latencies": {TTFT: 5 * each.latencies[TTFT]}}) for each in POINTS)
    near = tuple(each.model_copy(update={"latencies": {TTFT: 1.2 * each.latencies[TTFT]}}) for each in POINTS)
    slower = [5 * each for each in REPEATS]
    assert differ(at_load(POINTS, TTFT, 7, REPEATS), at_load(slow, TTFT, 7, slower)) < 0.01
    assert differ(at_load(POINTS, TTFT, 7, REPEATS), at_load(near, TTFT, 7, REPEATS)) == 1.0
    assert differ(at_load(POINTS, TTFT, 7), at_load(slow, TTFT, 7)) is None


def started(sessions, rng, deviation, slowness=1.0):
    """A version's speed from several starts of its server."""
    model = Model("m", 0.7, 100 * slowness)
    return [session(noisy(model, 0.05, rng, deviation)) for _ in range(sessions)]


def called_different(rng, sessions, deviation, slowness=1.0):
    first, second = started(sessions, rng, deviation), started(sessions, rng, deviation, slowness)
    load = common_load(each.curve for each in (*first, *second))
    found = [over_sessions(each, TTFT, load) for each in (first, second)]
    p_value = differ(*found)
    return p_value is not None and p_value < 0.05


@pytest.mark.parametrize("sessions", [1, 2, 4])
@pytest.mark.parametrize("deviation", [0.05, 0.1, 0.2])
def test_two_starts_of_one_server_are_hardly_ever_called_different(sessions, deviation):
    """By the repeats of one session alone they are in 12, 27 and 51 of 100."""
    rng, contests = default_rng(sessions), 200
    wrong = sum(called_different(rng, sessions, deviation) for _ in range(contests))
    assert wrong <= 0.05 * contests


@pytest.mark.parametrize(("sessions", "slowness"), [(1, 3.0), (2, 2.5), (4, 1.8)])
def test_the_more_sessions_the_smaller_the_difference_that_is_seen(sessions, slowness):
    rng, contests = default_rng(sessions), 60
    assert sum(called_different(rng, sessions, 0.1, slowness) for _ in range(contests)) >= 0.7 * contests


def test_few_sessions_are_pooled_around_their_mean_and_of_several_the_means_count():
    assert pooled([(1.0, 3.0)]) == (1.0, 3.0)
    assert pooled([(1.0, 3.0), (5.0, 7.0)]) == pytest.approx((2.0, 6.0, 4 * 5 / 6, 4 * 7 / 6))
    assert pooled([(1.0, 3.0), (5.0, 7.0), (8.0, 8.0)]) == (2.0, 6.0, 8.0)
    assert pooled([(1.0, 3.0), ()]) == ()


def again(record, **changes):
    """The record of another start of the same server, an hour earlier."""
    sweep = record.sweep
    times = {time: getattr(sweep, time) - timedelta(hours=1) for time in ("started", "ended")}
    found = sweep.operating_point.model_copy(update={"reason": "found an hour earlier"})
    changed = {"operating_point": found, **times, **changes}
    evaluation = record.evaluation.model_copy(update=times)
    return holding(holding(record, sweep.model_copy(update=changed)), evaluation).model_copy(
        update={"record_id": "earlier"}
    )


@pytest.mark.parametrize(
    ("changes", "sessions"),
    [({}, 2), ({"identity": "another"}, 1), ({"taken_from": "r", "started": START}, 1)],
    ids=["measured again", "measured otherwise", "taken over"],
)
def test_records_that_measured_the_same_again_are_sessions_of_one_version(changes, sessions):
    sweep = repeated(a_sweep()).model_copy(update={"identity": "same"})
    record, samples = a_record(sweep=sweep), some_samples(0.52)
    earlier = again(record, **changes)
    (row,) = compare([record, earlier], {record.record_id: samples, "earlier": samples}).standings
    assert len(row.sessions) == sessions
    assert row.operating_point == record.sweep.operating_point.reason, "the newest record's own session is the first"


def test_a_quicker_version_is_not_slower_for_carrying_more():
    """At its own operating point the quicker one waits longer, because it carries more."""
    logs = {name: some_samples(0.6) for name in ("quick", "slow")}
    rates = {"quick": (1, 4, 8, 16), "slow": (1, 4, 8)}
    sweeps = {"quick": swept(rates["quick"], 1.0), "slow": swept(rates["slow"], 1.2)}
    records = [a_record(name, samples=logs[name], sweep=sweeps[name]) for name in logs]
    found = compare(records, {record.record_id: logs[record.selection.name] for record in records})
    quick, slow = sorted(found.standings, key=lambda row: row.name)
    assert quick.ttft_p95_ms > slow.ttft_p95_ms
    assert quick.at(found.common_load)[TTFT].value < slow.at(found.common_load)[TTFT].value


def gated(model, candidate, rng, noise=0.05):
    """What the gate says of a candidate's time to first token, after sweeps of both with noise."""
    records = [a_record(each.name, sweep=noisy(each, noise, rng)) for each in (candidate, model)]
    criteria = Criteria.model_validate({LATENCY: {"tolerance": "10%"}})
    _, check = judge(*records, ({}, {}), criteria).checks
    return check.state


def test_the_gate_hardly_ever_fails_the_same_model_whatever_its_operating_points_are():
    rng, contests = default_rng(5), 200
    tally = Counter(gated(Model("m", 0.7), Model("m", 0.7), rng) for _ in range(contests))
    assert tally["fail"] <= 0.02 * contests


def test_the_gate_fails_a_model_that_is_half_as_quick_at_the_load_of_both():
    rng, contests = default_rng(6), 40
    tally = Counter(gated(Model("m", 0.7), Model("slow", 0.7, 250, 18), rng) for _ in range(contests))
    assert tally["pass"] == 0
    assert tally["fail"] >= 0.2 * contests


def swept(rates, slowness):
    points = tuple(a_point(rate, slowness=slowness, limit=1000.0) for rate in rates)
    sweep = a_sweep(limit=1000.0)
    chosen = sweep.operating_point.model_copy(update={"index": len(points) - 1})
    return repeated(sweep.model_copy(update={"points": points, "operating_point": chosen}))
