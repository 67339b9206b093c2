from __future__ import annotations

import pytest

from helpers.artifacts import SLO, LoadPoint, Percentiles
from helpers.load_test import operating_point
from helpers.load_test.choosing import may_meet


def flat(value):
    return Percentiles(mean=value, p50=value, p90=value, p95=value, p99=value)


def point(name, rps, ttft, meets, errored=0, incomplete=0):
    return LoadPoint(
        strategy=name,
        rate=None,
        concurrency=1,
        duration_seconds=10,
        successful=100,
        errored=errored,
        incomplete=incomplete,
        requests_per_second=rps,
        output_tokens_per_second=rps * 10,
        ttft_ms=flat(ttft) if ttft else None,
        itl_ms=None,
        e2e_ms=None,
        tps=None,
        mean_input_tokens=10,
        mean_output_tokens=10,
        meets_slo=meets,
    )


LIMIT = SLO(ttft_ms=100)
LOW, MIDDLE = point("synchronous", 2, 40, True), point("constant@5", 5, 80, True)
HIGH, FULL = point("constant@8", 8, 300, False), point("throughput", 9, 900, False)


def test_it_is_the_highest_load_that_meets_the_objective_wherever_it_stands():
    found = operating_point([FULL, MIDDLE, LOW, HIGH], LIMIT)
    assert found.index == 1
    assert "constant@5 is the highest measured load (5 requests/s)" in found.reason
    assert "TTFT p95 80 ms" in found.reason
    assert "The next higher one, constant@8, does not: TTFT p95 300 ms" in found.reason


def test_full_throughput_may_be_it_when_it_meets_the_objective():
    found = operating_point([LOW, point("throughput", 9, 90, True)], LIMIT)
    assert found.index == 1
    assert "No higher load was measured" in found.reason


def test_where_none_does_it_says_so_and_how_far_off():
    found = operating_point([HIGH, FULL], LIMIT)
    assert found.index is None
    assert found.reason == "No measured load meets TTFT p95 ≤ 100 ms. Even at the lowest, constant@8: TTFT p95 300 ms"


def test_a_load_with_too_few_answers_is_not_all_that_is_told():
    few = point("synchronous", 1, 40, False).model_copy(update={"successful": 8, "enough": False})
    told = operating_point([few, point("throughput", 2, 11_790, False)], LIMIT).reason
    assert "synchronous: 8 answers in 10 s are too few" in told
    assert told.endswith("throughput: TTFT p95 11,790 ms")


@pytest.mark.parametrize(
    ("missed", "why"),
    [
        (point("constant@7", 7, 60, False, errored=9), "9 of 109 requests failed"),
        (point("constant@7", 7, None, False), "TTFT could not be measured"),
        (point("constant@7", 7, 60, False, incomplete=30), "30 requests were cut off"),
    ],
)
def test_the_reason_names_what_kept_a_higher_load_out(missed, why):
    assert why in operating_point([LOW, missed], LIMIT).reason


def test_without_an_objective_it_says_that_there_was_none():
    assert "no latency objective was set" in operating_point([LOW], SLO()).reason


@pytest.mark.parametrize("slo", [LIMIT, SLO()])
def test_failures_are_the_reason_where_they_are_and_no_near_miss(slo):
    failing = point("synchronous", 2, 110, False, errored=50)
    found = operating_point([failing], slo, error_limit=0.05)
    assert "Even at the lowest, synchronous: 50 of 150 requests failed" in found.reason
    assert not may_meet(failing, slo, 0.05)
    within = {"slo_attainment": 0.9}  # of 100 requests: their interval reaches 94 %, with 0.92 it reaches 96 %
    missed = point("synchronous", 2, 110, False, errored=4)
    assert not may_meet(missed.model_copy(update=within), LIMIT, 0.05)
    assert may_meet(missed.model_copy(update={"slo_attainment": 0.92}), LIMIT, 0.05)
    assert may_meet(missed.model_copy(update=within), SLO(ttft_ms=100, itl_ms=20), 0.05), "each limit may have its 5 %"
    assert not may_meet(missed, LIMIT, 0.05), "nothing is known of its requests"


def test_answers_that_were_too_short_are_the_reason():
    short = point("synchronous", 2, 20, False).model_copy(update={"short_of": 32.0})
    assert "its answers had 10 of 32 tokens" in operating_point([short], LIMIT).reason
    assert not may_meet(short, LIMIT)
