from __future__ import annotations

import copy
import json
from importlib import import_module

import pytest

from helpers.artifacts import SLO
from helpers.errors import SweepFailed
from helpers.evaluation import following
from helpers.load_test import read_report, running
from helpers.load_test.report import first_error, measured


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


def ended_by(*constraints, **changes):
    made = benchmark(**changes)
    made["scheduler_state"]["end_queuing_constraints"] = {name: {} for name in constraints}
    return made


def waiting(seconds, first=None):
    return {"request_start_time": 100.0, "request_end_time": 100.0 + seconds, "time_to_first_token_ms": first}


@pytest.fixture
def read(tmp_path):
    def write_and_read(*benchmarks, slo=None, least=0):
        path = tmp_path / "guidellm.json"
        path.write_text(json.dumps({"benchmarks": copy.deepcopy(benchmarks)}))
        return read_report(path, slo or SLO(ttft_ms=100), least=least)

    return write_and_read


def test_seconds_become_milliseconds_and_every_strategy_is_read(read):
    points, _ = read(benchmark(), benchmark(strategy={"type_": "concurrent", "streams": 4}))
    assert [p.strategy for p in points] == ["constant@5", "concurrent@4"]
    assert points[0].e2e_ms.p95 == 200
    assert points[0].ttft_ms.p95 == 50


def test_what_was_not_measured_is_none_and_never_zero(read):
    (point,), warnings = read(benchmark(ok=0))
    assert (point.ttft_ms, point.itl_ms, point.e2e_ms, point.tps, point.slo_attainment) == (None,) * 5
    assert (point.meets_slo, point.enough) == (False, False)
    assert any("0 answers" in warning for warning in warnings)


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
def test_guidellms_warnings_about_itself_are_told_where_they_matter_in_other_words(read, code, observed, limited):
    warning = {"code": code, "message": "p95 root dispatch delay was 0.9s.", "note": "Look.", "observed": observed}
    (point,), told = read(benchmark(warnings=[warning]))
    assert point.limited_by_load_generator is limited
    assert len(told) == limited
    assert not any("dispatch" in each for each in told)


def test_its_other_warnings_are_passed_on(read):
    warning = {"code": "dataset_incomplete", "message": "half was read.", "note": "Look.", "observed": 1}
    assert read(benchmark(warnings=[warning]))[1] == ("constant@5: half was read. Look.",)


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
    assert not measured(benchmark(ok=0, errored=3))
    assert measured(benchmark(ok=0)), "its time was over: measured again, it would end no other way"
    whole["scheduler_state"]["end_queuing_constraints"] = {"max_error_rate": {}}
    assert not measured(whole)


@pytest.mark.parametrize(
    ("constraints", "by"),
    [
        (["max_duration"], "time"),
        (["min_requests"], "requests"),
        (["max_requests", "max_duration"], "requests"),
        (["max_duration", "max_error_rate"], "errors"),
        ([], "time"),
    ],
)
def test_each_load_says_what_ended_it(constraints, by, read):
    assert read(ended_by(*constraints))[0][0].ended_by == by


@pytest.mark.parametrize(("answered", "enough"), [(60, True), (59, False), (1, False), (0, False)])
def test_a_load_with_too_few_answers_meets_no_slo_and_is_told(answered, enough, read):
    (point,), warnings = read(benchmark(ok=answered), least=60)
    assert (point.enough, point.meets_slo) == (enough, enough)
    assert any("constant@5" in warning for warning in warnings) is not enough


@pytest.mark.parametrize("seen", [True, False])
def test_what_guidellms_detector_said_last_is_in_its_report(seen, read):
    schemas = import_module("guidellm.scheduler.schemas")
    action = schemas.SchedulerUpdateAction(metadata={"is_over_saturated": seen, "ttft_n": 40})
    state = schemas.SchedulerState(node_id=0, num_processes=1, start_time=0.0)
    state.scheduler_constraints = {"over_saturation": action}
    made = benchmark() | {"scheduler_state": state.model_dump(mode="json")}
    assert read(made)[0][0].saturated is seen


def test_a_load_whose_first_request_was_never_due_took_no_time(read):
    made = benchmark(ok=0) | {"duration": -0.01}  # as GuideLLM writes it
    (point,), _ = read(made)
    assert 0 < point.duration_seconds < 1e-6


def test_what_was_asked_for_is_known_beside_the_name(read):
    asked = [
        {"type_": "synchronous"},
        {"type_": "throughput", "max_concurrency": 32},
        {"type_": "concurrent", "streams": 1234},
        {"type_": "constant", "rate": 1 / 3, "max_concurrency": 32},
    ]
    points, _ = read(*(benchmark(strategy=strategy) for strategy in asked))
    assert [point.streams for point in points] == [1, 32, 1234, None]
    assert [point.rate for point in points] == [None, None, None, 1 / 3]
    assert (
        len(
            {
                point.strategy
                for point in read(
                    *(
                        benchmark(strategy=s)
                        for s in ({"type_": "concurrent", "streams": 1000}, {"type_": "concurrent", "streams": 1001})
                    )
                )[0]
            }
        )
        == 2
    )


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
    for lines in (running._lines(log), following._lines(log)):
        assert len(lines) == 2
        assert not any(key in line for line in lines for key in ("my-own-key", "sk-abc"))
