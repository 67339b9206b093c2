"""A load that the server cannot keep up with is recognised, and is not where the model may be run."""

from __future__ import annotations

import pytest

from helpers.artifacts import SLO
from helpers.benchmark import operating_point, sweep, workload
from helpers.benchmark.report import read_report
from helpers.benchmark.running import Load
from helpers.benchmark.saturation import marked
from helpers.partial import Unguarded

from .conftest import at, brief, start
from .test_operating_point import flat, point

SLOTS, TTFT_MS, ITL_MS, TOKENS = 4, 60.0, 8.0, 16
CAPACITY = SLOTS / (TTFT_MS + (TOKENS - 1) * ITL_MS) * 1000


def load(name, rps, e2e=500.0, rate=None, meets=True):
    return point(name, rps, 50, meets).model_copy(update={"rate": rate, "e2e_ms": flat(e2e)})


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


@pytest.fixture(scope="module")
def limited(tokenizer, tmp_path_factory):
    """The endpoint of a server that works on four requests at once."""
    folder = tmp_path_factory.mktemp("limited")
    options = ("--ttft-ms", str(TTFT_MS), "--itl-ms", str(ITL_MS), "--output-tokens", str(TOKENS))
    server = start(folder / "server.log", *options, slots=SLOTS)
    yield at(server.url, tokenizer)
    server.kill()


@pytest.mark.load
def test_more_in_flight_than_the_server_works_on_at_once_is_saturation(limited, tmp_path):
    settings = brief(profile="concurrent", streams=(1, 2, 4, 8, 16), max_seconds=3)
    result = sweep(settings, limited, tmp_path, lambda _: None)
    assert [each.saturated for each in result.points] == [False, False, False, True, True]
    assert result.chosen.strategy == f"concurrent@{SLOTS}"
    assert result.next_load is None or result.next_load < 1.3 * result.chosen.requests_per_second


@pytest.mark.load
def test_guidellm_detects_a_rate_beyond_capacity_while_it_is_offered(limited, tmp_path):
    settings = brief(max_seconds=6, repeats=1, max_concurrency=500, seed=5, warmup=0, slo_ttft_ms=4 * TTFT_MS)
    offered = load("constant@60", 60, rate=3 * CAPACITY)
    requests = workload.load(settings, limited)
    measuring = Load(settings, limited, requests, tmp_path, lambda _: None, Unguarded(), tmp_path / "kept")
    (found,), warnings = read_report(measuring.measure(offered), settings.slo)
    assert found.saturated
    assert found.requests_per_second < 1.2 * CAPACITY
    assert any("requests/s were reached" in warning for warning in warnings)
