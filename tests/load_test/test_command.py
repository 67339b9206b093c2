from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.errors import InvalidParameter
from helpers.load_test import Settings
from helpers.load_test.command import build_command, build_environment
from helpers.load_test.workload import Workload
from helpers.serving.offers import CHAT, COMPLETIONS
from tests.plugins.records import a_point

FOLDER = Path("artifacts of mine, v=2")  # GuideLLM's own key=value form would take this apart


@pytest.fixture(autouse=True)
def own_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


CHATBOT = Workload("chatbot", 64, 32, tokenizer=Path("tokenizer of mine"))


def options(command, name):
    return [json.loads(command[i + 1]) for i, part in enumerate(command) if part == f"--{name}"]


@pytest.mark.parametrize(
    ("changes", "profile"),
    [
        ({}, {"kind": "sweep", "sweep_size": 5, "max_concurrency": 32}),
        ({"sweep_size": 3, "max_concurrency": 8}, {"kind": "sweep", "sweep_size": 3, "max_concurrency": 8}),
        ({"profile": "concurrent", "streams": "1,4"}, {"kind": "concurrent", "streams": [1, 4]}),
        ({"profile": "knee"}, {"kind": "knee", "initial_streams": [1, 2, 4, 8, 16]}),
        (
            {"profile": "goodput", "slo_ttft_ms": 200},
            {"kind": "goodput", "initial_streams": 1, "max_streams": 16, "max_probes": 8},
        ),
    ],
)
def test_each_profile_becomes_guidellms(changes, profile, endpoint):
    assert options(build_command(Settings(**changes), endpoint(), CHATBOT, FOLDER), "profile") == [profile]


@pytest.mark.parametrize(
    ("strategy", "asked", "profile"),
    [
        ("constant@12.5", {"rate": 12.5}, {"kind": "constant", "rate": [12.5] * 3, "max_concurrency": 32}),
        ("synchronous", {"streams": 1}, {"kind": "concurrent", "streams": [1] * 3}),
        ("throughput", {"streams": 8}, {"kind": "concurrent", "streams": [8] * 3}),
        ("concurrent@4", {"streams": 4}, {"kind": "concurrent", "streams": [4] * 3}),
        ("concurrent@1.23e+03", {"streams": 1234}, {"kind": "concurrent", "streams": [1234] * 3}),
        ("constant@0.333", {"rate": 1 / 3}, {"kind": "constant", "rate": [1 / 3] * 3, "max_concurrency": 32}),
    ],
)
def test_a_load_is_repeated_at_what_was_asked_for_with_other_prompts(strategy, asked, profile, endpoint):
    point = a_point(5.0, strategy=strategy).model_copy(update={"rate": None} | asked)
    whole = build_command(Settings(seed=7), endpoint(), CHATBOT, FOLDER)
    again = build_command(Settings(seed=7), endpoint(), CHATBOT, FOLDER, point)
    assert options(again, "profile") == [profile]
    assert options(again, "data") == options(whole, "data")
    assert options(again, "seed") != options(whole, "seed")
    assert {o["path"] for o in options(again, "output")}.isdisjoint(o["path"] for o in options(whole, "output"))


@pytest.mark.parametrize(
    ("workload", "data"),
    [
        (CHATBOT, {"kind": "synthetic_text", "prompt_tokens": 64, "output_tokens": 32}),
        (Workload("prompts", None, 40, Path("p.jsonl")), {"kind": "prompt_file", "path": "p.jsonl"}),
    ],
)
def test_each_workload_becomes_guidellms(workload, data, endpoint):
    assert options(build_command(Settings(), endpoint(), workload, FOLDER), "data") == [data]


def test_limits_and_objectives_reach_guidellm_under_its_names(endpoint):
    settings = Settings(max_seconds=4, min_requests=8, max_requests=9, slo_ttft_ms=200, slo_itl_ms=0, slo_e2e_ms=900)
    command = build_command(settings, endpoint(), CHATBOT, FOLDER)
    seconds, requests, errors, saturation = options(command, "constraint")
    assert (seconds, requests) == ({"kind": "max_duration", "seconds": 4}, {"kind": "max_requests", "count": 9})
    assert errors["kind"] == "max_error_rate"
    assert saturation == {"kind": "over_saturation", "mode": "monitor", "min_seconds": 2, "minimum_ttft": 0.2}
    assert options(command, "metrics")[0]["slo"] == {"ttft_ms": 200, "e2el_ms": 900}


@pytest.mark.parametrize(
    ("changes", "limit"),
    [
        ({}, {"kind": "min_requests", "count": 61}),  # one in a hundred may fail, and is counted too
        ({"min_requests": 300, "error_limit": 0.25}, {"kind": "min_requests", "count": 400}),
        ({"max_requests": 60}, {"kind": "max_requests", "count": 60}),
    ],
)
def test_a_load_ends_when_enough_is_answered(changes, limit, endpoint):
    assert options(build_command(Settings(**changes), endpoint(), CHATBOT, FOLDER), "constraint")[1] == limit


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_the_interface_is_guidellms_request_format(path, endpoint):
    command = build_command(Settings(), endpoint(), replace(CHATBOT, path=path), FOLDER)
    assert options(command, "backend")[0]["request_format"] == path


def test_guidellm_itself_accepts_every_option(endpoint):
    from guidellm.schemas.benchmark import BenchmarkArgs

    for changes in ({}, {"profile": "concurrent"}, {"profile": "knee"}, {"profile": "goodput", "slo_itl_ms": 5}):
        command = build_command(Settings(**changes), endpoint(), CHATBOT, FOLDER)
        lists = {"constraint": "constraints", "data": "data", "output": "outputs"}
        single = ("backend", "profile", "tokenizer", "data-loader", "seed", "metrics")
        given = {name.replace("-", "_"): options(command, name)[0] for name in single}
        BenchmarkArgs.model_validate({**given, **{to: options(command, name) for name, to in lists.items()}})


def test_the_key_is_in_no_command_line_and_the_environment_keeps_it(endpoint, monkeypatch):
    monkeypatch.setenv("ENDPOINT_API_KEY", "sk-not-for-everyone")
    command = build_command(Settings(), endpoint(), CHATBOT, FOLDER)
    assert "sk-not-for-everyone" not in " ".join(command)
    assert command[0] == sys.executable
    given = build_environment(Settings(workers=3), FOLDER, FOLDER, {"ENDPOINT_API_KEY": "sk-not-for-everyone"})
    assert given["ENDPOINT_API_KEY"] == "sk-not-for-everyone"
    assert given["GUIDELLM__MAX_WORKER_PROCESSES"] == "3"


def test_guidellm_gets_no_secret_of_store_registry_hub_or_signature():
    names = ("STORE_AWS_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "REGISTRY_TOKEN", "SIGNING_KEY", "HF_TOKEN")
    given = build_environment(Settings(), FOLDER, FOLDER, dict.fromkeys(names, "canary") | {"LANG": "C"})
    assert "canary" not in given.values()
    assert given["LANG"] == "C"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"profile": "burst"}, "PROFILE"),
        ({"scale": 0}, "SCALE"),
        ({"sweep_size": 2}, "SWEEP_SIZE"),
        ({"streams": "1,zwei"}, "STREAMS"),
        ({"streams": "4,2"}, "STREAMS"),
        ({"max_seconds": -1}, "MAX_SECONDS"),
        ({"min_requests": 0}, "MIN_REQUESTS"),
        ({"min_requests": 80, "max_requests": 70}, "MAX_REQUESTS"),
        ({"api": "grpc"}, "API"),
        ({"slo_ttft_ms": -1}, "SLO_TTFT_MS"),
        ({"profile": "knee", "streams": "1,2"}, "STREAMS"),
        ({"profile": "goodput"}, "SLO_TTFT_MS"),
        ({"workload": "prompts"}, "PROMPTS"),
        ({"prompts": "a;rm -rf b"}, "prompts"),
    ],
)
def test_a_bad_parameter_is_refused_by_name(changes, named):
    with pytest.raises(InvalidParameter, match=named):
        Settings(**changes)
