from __future__ import annotations

import copy
import json
from importlib import import_module

import pytest

from helpers.artifacts import SLO
from helpers.benchmark import read_report, running
from helpers.benchmark.report import first_error, measured
from helpers.errors import SweepFailed


def distribution(value, count):
    values = dict.fromkeys(("p50", "p90", "p95", "p99"), value)
    return {
        "successful": {"mean": value, "count": count, "percentiles": values},
        "total": {"mean": value, "count": count},
    }


def benchmark(ok=100, errored=0, incomplete=(), ttft=50.0, strategy=None, warnings=(), rps=5.0):
    """The part of a GuideLLM benchmark that is read, as 0.8.1 writes it: 0.0 where nothing was measured."""
    metrics = {
        name: distribution(ttft if ok else 0.0, ok) for name in ("time_to_first_token_ms", "inter_token_latency_ms")
    }
    metrics["request_latency"] = distribution(0.2 if ok else 0.0, ok)
    others = ("request_concurrency", "prompt_token_count", "output_token_count", "output_tokens_per_second")
    metrics |= {name: distribution(10.0 if ok else 0.0, ok) for name in others}
    metrics["requests_per_second"] = distribution(rps if ok else 0.0, ok)
    metrics["request_totals"] = {"successful": ok, "errored": errored, "incomplete": len(incomplete), "total": 0}
    failed = [{"info": {"error": "401 for Bearer sk-abcdefghij0123"}}] * errored
    return {
        "config": {"strategy": strategy or {"type_": "constant", "rate": 5.0, "max_concurrency": 32}},
        "duration": 10.0,
        "scheduler_state": {"end_queuing_constraints": {}},
        "metrics": {**metrics, "slo_attainment": None, "request_goodput": None},
        "requests": {"successful": [{}] * ok, "errored": failed, "incomplete": list(incomplete)},
        "warnings": list(warnings),
    }


def waiting(seconds, first=None):
    return {"request_start_time": 100.0, "request_end_time": 100.0 + seconds, "time_to_first_token_ms": first}


@pytest.fixture
def read(tmp_path):
    def write_and_read(*benchmarks, slo=None):
        path = tmp_path / "guidellm.json"
        path.write_text(json.dumps({"benchmarks": copy.deepcopy(benchmarks)}))
        return read_report(path, slo or SLO(ttft_ms=100))

    return write_and_read


def test_seconds_become_milliseconds_and_every_strategy_is_read(read):
    points, _ = read(benchmark(), benchmark(strategy={"type_": "concurrent", "streams": 4}))
    assert [p.strategy for p in points] == ["constant@5", "concurrent@4"]
    assert points[0].e2e_ms.p95 == 200
    assert points[0].ttft_ms.p95 == 50


def test_what_was_not_measured_is_none_and_never_zero(read):
    (point,), warnings = read(benchmark(ok=0))
    assert (point.ttft_ms, point.itl_ms, point.e2e_ms, point.tps, point.slo_attainment) == (None,) * 5
    assert not point.meets_slo
    assert any("no request ended" in w for w in warnings)


@pytest.mark.parametrize(
    ("given", "meets"),
    [
        ({}, True),
        ({"ttft": 101.0}, False),
        ({"errored": 1}, True),
        ({"errored": 2}, False),
        ({"incomplete": [waiting(0.05)] * 30}, True),
        ({"incomplete": [waiting(5.0, first=50.0)] * 30}, True),
        ({"incomplete": [waiting(5.0)] * 30}, False),
        ({"incomplete": [waiting(5.0)] * 5}, True),
    ],
    ids=["fine", "late", "1 % failed", "2 % failed", "cut off early", "cut off in time", "30 late", "5 late of 105"],
)
def test_meeting_the_objective_counts_failures_and_requests_cut_off_too_late(read, given, meets):
    (point,), _ = read(benchmark(**given))
    assert point.meets_slo is meets


@pytest.mark.parametrize(
    ("code", "observed", "limited"),
    [("generation_delay_ttft", 0.02, False), ("generation_delay_ttft", 0.5, True), ("root_late", 0.9, True)],
)
def test_guidellms_warnings_are_passed_on_and_the_grave_ones_marked(read, code, observed, limited):
    warning = {"code": code, "message": "something was slow.", "note": "Look.", "observed": observed}
    (point,), told = read(benchmark(warnings=[warning]))
    assert told == ("constant@5: something was slow. Look.",)
    assert point.limited_by_load_generator is limited


def test_a_rate_that_was_not_reached_is_said(read):
    _, told = read(benchmark(rps=3.0))
    assert told[0].startswith("constant@5: 3 of 5 requests/s were reached")


@pytest.mark.parametrize(
    ("asked", "ok", "short"),
    [
        ((10,), 100, None),
        ((11,), 100, None),
        ((32,), 100, 32),
        ((4, 16), 100, None),
        ((4, 40), 100, 22),
        ((4, 400), 50, 4 + 396 / 2),
        ((), 100, None),
    ],
    ids=["as asked", "nearly", "a third", "mixed", "mixed and short", "half of the rounds", "unknown"],
)
def test_answers_shorter_than_asked_are_no_measurement(tmp_path, asked, ok, short):
    path = tmp_path / "guidellm.json"
    path.write_text(json.dumps({"benchmarks": [benchmark(ok=ok)]}))
    (point,), told = read_report(path, SLO(ttft_ms=100), asked=asked)
    assert point.short_of == short
    assert point.meets_slo is (short is None)
    assert bool(told) is (short is not None)


def test_a_load_that_failures_ended_is_not_measured_whole():
    whole = benchmark()
    assert measured(whole)
    assert not measured(benchmark(ok=0))
    whole["scheduler_state"]["end_queuing_constraints"] = {"max_error_rate": {}}
    assert not measured(whole)


def test_the_first_error_is_told_without_the_key():
    assert first_error({"benchmarks": [benchmark(), benchmark(errored=2)]}) == "401 for Bearer ***"


@pytest.mark.parametrize("content", [None, "", '{"benchmarks": [{"conf', "{}"])
def test_a_report_that_is_none_is_refused(tmp_path, content):
    path = tmp_path / "guidellm.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SweepFailed, match="is no report of GuideLLM"):
        read_report(path, SLO())


def test_the_end_of_a_log_is_told_without_the_endpoints_key(tmp_path):
    log = tmp_path / "tool.log"
    log.write_text("headers: {'Authorization': 'Bearer my-own-key'}\n\n401 for sk-abcdefghij0123\n")
    evaluating = import_module("helpers.evaluation.run")  # the package's `run` is a function
    for lines in (running._lines(log), evaluating._lines(log)):
        assert len(lines) == 2
        assert not any(key in line for line in lines for key in ("my-own-key", "sk-abc"))
