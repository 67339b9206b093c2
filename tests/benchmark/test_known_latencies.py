"""What `guidellm mock-server` was told to take is what a whole sweep says that it takes, within 5 %."""

from __future__ import annotations

from statistics import median

import pytest

from helpers.benchmark import sweep

from .conftest import at, brief, start

pytestmark = pytest.mark.load

TTFT_MS, ITL_MS, TOKENS = 1500.0, 200.0, 10
WHOLE_MS = TTFT_MS + (TOKENS - 1) * ITL_MS
IN_FLIGHT, REPEATS = (2, 4), 3


@pytest.fixture(scope="module")
def measured(tokenizer, tmp_path_factory):
    """Two loads and repeats of the higher. Each ends by its number of requests: by time, some would be cut off."""
    folder = tmp_path_factory.mktemp("known")
    server = start(
        folder / "server.log", "--ttft-ms", str(TTFT_MS), "--itl-ms", str(ITL_MS), "--output-tokens", str(TOKENS)
    )
    settings = brief(
        profile="concurrent", streams=IN_FLIGHT, scale=TOKENS / 256, max_seconds=60, max_requests=8, repeats=REPEATS,
        slo_ttft_ms=2 * TTFT_MS, slo_itl_ms=2 * ITL_MS,
    )  # fmt: skip
    try:
        return sweep(settings, at(server.url, tokenizer), folder / "artifacts", lambda _: None)
    finally:
        server.kill()


@pytest.fixture
def loads(measured):
    """Each measured load, and how many requests were in flight."""
    return [*zip(measured.points, IN_FLIGHT, strict=True), *((point, IN_FLIGHT[-1]) for point in measured.repeats)]


def come_back(values, expected):
    """Within 5 %, but that a busy machine adds to single requests: to the least disturbed load it does not."""
    assert min(values) == pytest.approx(expected, rel=0.05)


def come_back_mostly(values, expected):
    """Within 5 % in more than half of the loads."""
    assert median(values) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(
    ("metric", "expected"), [("ttft_ms", TTFT_MS), ("itl_ms", ITL_MS), ("e2e_ms", WHOLE_MS)], ids=str
)
def test_latencies_come_back(loads, metric, expected):
    found = [getattr(point, metric) for point, _ in loads]
    come_back_mostly([each.p50 for each in found], expected)
    for which in ("mean", "p90", "p95", "p99"):
        come_back([getattr(each, which) for each in found], expected)


def test_latencies_come_back_in_the_repeats_too(measured):
    for metric, expected in (("ttft_ms", TTFT_MS), ("itl_ms", ITL_MS), ("e2e_ms", WHOLE_MS)):
        found = [getattr(point, metric) for point in measured.repeats]
        come_back_mostly([each.p50 for each in found], expected)
        come_back([each.mean for each in found], expected)
        come_back([each.p95 for each in found], expected)


def test_throughput_is_requests_in_flight_over_what_one_takes(loads):
    come_back([in_flight / point.requests_per_second for point, in_flight in loads], WHOLE_MS / 1000)
    come_back([in_flight / point.goodput for point, in_flight in loads], WHOLE_MS / 1000)
    come_back([TOKENS * in_flight / point.output_tokens_per_second for point, in_flight in loads], WHOLE_MS / 1000)


def test_throughput_comes_back_in_the_repeats_too(measured):
    come_back([IN_FLIGHT[-1] / point.requests_per_second for point in measured.repeats], WHOLE_MS / 1000)


def test_what_was_sent_is_what_was_counted(loads):
    for point, in_flight in loads:
        assert (point.successful, point.errored, point.mean_output_tokens) == (8, 0, TOKENS)
        assert point.slo_attainment == 1.0
        assert 0.9 * in_flight < point.concurrency <= in_flight


def test_the_higher_load_is_the_operating_point_and_is_repeated(measured):
    assert measured.chosen == measured.points[1]
    assert len(measured.repeats) == REPEATS
