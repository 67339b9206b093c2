"""One request is measured, and what follows from it is planned: how long a load may take, and what is too slow."""

from __future__ import annotations

import json

import pytest

from helpers.errors import InvalidParameter, SweepFailed
from helpers.load_test import Settings, planning
from helpers.load_test.planning import plan
from helpers.load_test.workload import Workload
from helpers.serving.offers import CHAT, COMPLETIONS


@pytest.mark.parametrize(
    ("alone", "given", "most"),
    [(0.3, 0, 30), (1.6, 0, 30), (3.85, 0, 62), (12.5, 0, 200), (100, 0, 600), (1.6, 5, 5), (1.6, 3600, 3600)],
)
def test_a_load_gets_the_time_that_the_model_needs_unless_it_is_given(alone, given, most):
    assert plan(Settings(max_seconds=given), alone).max_seconds == most


@pytest.mark.parametrize(("alone", "given"), [(6.0, 5), (700.0, 0)])
def test_where_no_request_can_end_in_time_nothing_is_begun(alone, given):
    with pytest.raises(InvalidParameter, match="MAX_SECONDS"):
        plan(Settings(max_seconds=given), alone)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"repeats": 0}, [60, 96, 60, 60, 60]),
        ({"sweep_size": 3, "repeats": 2, "max_concurrency": 8}, [60, 60, 60, 60, 60]),
        ({"profile": "concurrent", "streams": "1,4,100", "repeats": 1}, [60, 60, 300, 60]),
        ({"profile": "goodput", "slo_ttft_ms": 9, "max_probes": 2, "streams": "1,50", "repeats": 0}, [150, 150]),
        ({"max_requests": 70, "repeats": 0}, [70] * 5),
    ],
)
def test_each_load_ends_at_answers_of_several_waves(changes, expected):
    assert [load.answers for load in plan(Settings(**changes), 1.0).loads] == expected


def test_the_time_of_all_is_between_no_wait_at_all_and_all_the_time_there_is():
    made = plan(Settings(profile="concurrent", streams="1,10", repeats=2), 2.0)
    assert made.max_seconds == 32
    assert [load.seconds for load in made.loads] == [120, 12, 12, 12]
    assert made.expected == (32 + 3 * 12, 4 * 32)
    assert "1 in flight" in str(made).rpartition(": ")[2], "the load that is too slow for 60 answers"


@pytest.mark.parametrize(("path", "limit"), [(CHAT, "max_completion_tokens"), (COMPLETIONS, "max_tokens")])
def test_one_request_of_the_workloads_shape_is_timed_after_another(path, limit, endpoint, monkeypatch):
    sent, clock = [], iter([0.0, 15.0, 16.5])  # the first request of a fresh server is slow

    def post(url, where, body, timeout):
        sent.append(body)
        return planning.Answer(where, 200, {}, "")

    monkeypatch.setattr(planning, "post", post)
    monkeypatch.setattr(planning.time, "monotonic", lambda: next(clock))
    requests = Workload("chatbot", 64, 32, path=path, example=("restart the pod", 32))
    assert planning.one_request(endpoint(), requests) == 1.5
    assert [body[limit] for body in sent] == [32, 32]
    assert all("restart the pod" in json.dumps(body) for body in sent)
    assert sent[0] != sent[1], "the second would be found in the prefix cache"


def test_a_server_that_refuses_the_first_request_is_quoted(endpoint, monkeypatch):
    answer = planning.Answer(CHAT, 400, None, "this model has no chat template")
    monkeypatch.setattr(planning, "post", lambda *_: answer)
    with pytest.raises(SweepFailed, match=r"400.*this model has no chat template"):
        planning.one_request(endpoint(), Workload("chatbot", 64, 32))
