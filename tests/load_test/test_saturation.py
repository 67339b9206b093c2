"""A load that the server cannot keep up with is recognised, and is not where the model may be run."""

from __future__ import annotations

import pytest

from helpers.artifacts import SLO
from helpers.load_test import operating_point
from helpers.load_test.saturation import marked

from .test_operating_point import flat, point


def load(name, rps, e2e=500.0, rate=None, meets=True):
    kind, _, asked = name.partition("@")
    streams = int(asked) if kind == "concurrent" else None
    return point(name, rps, 50, meets).model_copy(update={"rate": rate, "streams": streams, "e2e_ms": flat(e2e)})


def saturated(*points):
    return [each.saturated for each in marked(points)]


def test_all_at_once_is_saturated_and_one_at_a_time_is_not():
    assert saturated(load("synchronous", 2), load("throughput", 9)) == [False, True]


@pytest.mark.parametrize(
    ("reached", "e2e", "is_saturated"),
    [(10.0, 500, False), (9.1, 500, False), (8.2, 500, True), (8.2, 2000, False), (6.0, 2000, True)],
    ids=["all", "but few", "too few", "but those under way at the end", "too few even so"],
)
def test_a_rate_is_saturated_where_it_is_not_reached(reached, e2e, is_saturated):
    assert saturated(load("constant@10", reached, e2e, rate=10.0)) == [is_saturated]


def test_requests_in_flight_are_too_many_where_they_only_wait():
    levels = [load(f"concurrent@{n}", rps) for n, rps in ((1, 5), (2, 9), (4, 15), (8, 22), (16, 24), (32, 24.1))]
    assert saturated(*levels) == [False, False, False, False, True, True]
    assert saturated(*reversed(levels)) == [True, True, False, False, False, False]


def test_levels_close_together_are_not_judged_by_their_noise():
    levels = [load(f"concurrent@{n}", rps) for n, rps in ((10, 10.0), (11, 9.9), (12, 12.0), (20, 19.0))]
    assert not any(saturated(*levels))


def test_behind_saturation_every_level_is_saturated():
    levels = [load(f"concurrent@{n}", rps) for n, rps in ((1, 5), (2, 5.1), (4, 7), (8, 7.1))]
    assert saturated(*levels) == [False, True, True, True]


def test_what_guidellm_detected_stays():
    assert saturated(load("constant@5", 5, rate=5.0).model_copy(update={"saturated": True})) == [True]


def test_a_saturated_load_is_not_the_operating_point():
    points = marked([load("synchronous", 2), load("constant@5", 5, rate=5.0), load("throughput", 9)])
    found = operating_point(points, SLO())
    assert points[found.index].strategy == "constant@5"
    assert "The next higher one, throughput, meets it too and is saturated" in found.reason


def test_a_saturated_load_is_the_operating_point_where_no_other_one_will_do_and_that_is_said():
    points = marked([load("synchronous", 2, meets=False), load("throughput", 9)])
    found = operating_point(points, SLO(ttft_ms=100))
    assert points[found.index].strategy == "throughput"
    assert "It is saturated, as is every load that meets it" in found.reason
