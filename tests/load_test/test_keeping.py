"""What was kept of a sweep, and for which sweep it is taken."""

from __future__ import annotations

import json

import pytest

from helpers.artifacts import run
from helpers.load_test import keeping
from helpers.load_test.keeping import Kept
from helpers.load_test.measuring import _identity
from helpers.load_test.workload import Workload
from helpers.runtime import memory, partial

from .conftest import brief

CHATBOT = Workload("chatbot", 32, 16)


def test_loads_are_taken_up_to_the_first_that_is_missing(tmp_path):
    kept = Kept(tmp_path / "sweep")
    assert kept.loads() == []
    for index in (0, 1, 3):
        kept.add(index, b"{}")
    assert [path.name for path in kept.loads()] == ["0.json", "1.json"]


def test_a_whole_report_takes_the_place_of_its_loads(tmp_path):
    kept, files = Kept(tmp_path / "sweep"), (tmp_path / "a.html", tmp_path / "a.json")
    assert not kept.restore(files)
    kept.add(0, b"{}")
    for path in files:
        path.write_text(path.name)
    kept.finish(files)
    assert kept.loads() == []
    for path in files:
        path.unlink()
    assert kept.restore(files)
    assert [path.read_text() for path in files] == ["a.html", "a.json"]


def test_each_attempt_has_other_prompts_and_the_seed_of_the_first(tmp_path):
    first, second = (keeping.begin(tmp_path / "one", seed) for seed in (5, 9))
    assert (first.seed, second.seed) == (5, 5)
    assert first.offset == 0 != second.offset
    assert keeping.begin(tmp_path / "other", 9) == (9, 0)
    assert not (tmp_path / "one").exists(), "another sweep has taken its place"


@pytest.mark.parametrize("other", ["settings", "seed", "prompts", "model", "engine", "run"])
def test_what_was_kept_for_something_else_is_not_taken(other, endpoint, tmp_path, monkeypatch):
    settings, served, requests = brief(), endpoint(), CHATBOT
    before = _identity(settings, served, requests, tmp_path)
    assert _identity(settings, endpoint("http://elsewhere"), requests, tmp_path) == before, "served again"
    if other in ("settings", "seed"):
        settings = brief(**({"max_seconds": 3} if other == "settings" else {"seed": 3}))
    elif other == "prompts":
        requests = Workload("prompts", None, 16, digest="sha256:0")
    elif other == "run":
        monkeypatch.setenv(run.VARIABLE, "another")
    else:
        served = served.model_copy(update={"digest": "b"} if other == "model" else {"engine_version": "2"})
    assert _identity(settings, served, requests, tmp_path) != before


@pytest.mark.parametrize(("runtime", "said"), [("", "stage"), ("local", "stage"), ("kfp", "retry the run")])
def test_on_pipelines_the_next_step_is_the_run_and_here_it_is_the_stage(runtime, said, monkeypatch):
    monkeypatch.setenv(partial.RUNTIME, runtime)
    assert said in partial.again()
    assert ("submit" if runtime == "kfp" else "stage") in partial.anew(), "a retry changes no parameter"


@pytest.mark.parametrize(
    ("files", "limit", "kills"),
    [
        ({"memory.max": "471859200", "memory.events": "low 0\noom 3\noom_kill 2\noom_group_kill 0"}, 450, 2),
        ({"memory.max": "max", "memory.events": "oom_kill 0"}, None, 0),
        ({"memory/memory.limit_in_bytes": "471859200", "memory/memory.oom_control": "oom_kill 1"}, 450, 1),
        ({"memory/memory.limit_in_bytes": "9223372036854771712"}, None, 0),
        ({}, None, 0),
    ],
    ids=["version 2", "no limit", "version 1", "version 1, no limit", "no control groups"],
)
def test_the_limit_of_a_container_is_known(files, limit, kills, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "GROUP", tmp_path)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert memory.limit() == (limit and limit * memory.MIB)
    assert memory.kills() == kills
    assert ("450 MiB" in memory.killed()) is (limit == 450)


def chunk(**content):
    return "data: " + json.dumps({"id": "1", **content})


TOKEN = chunk(choices=[{"delta": {"content": "a"}, "finish_reason": None}], usage={"completion_tokens": 1})


@pytest.mark.parametrize(
    ("end", "good"),
    [
        ([], False),
        (["data: [DONE]"], True),
        ([chunk(choices=[{"delta": {}, "finish_reason": "length"}])], True),
        ([chunk(choices=[], usage={"completion_tokens": 1})], True),
    ],
    ids=["nothing", "DONE", "finish reason", "usage"],
)
def test_a_stream_needs_an_end(end, good):
    from guidellm.backends.openai.request_handlers import ChatCompletionsRequestHandler
    from guidellm.schemas import GenerationRequest, GenerationRequestArguments

    import helpers.load_test.guarded  # noqa: F401

    handler = ChatCompletionsRequestHandler()
    for line in (TOKEN, TOKEN, *end):
        handler.add_streaming_line(line)
    response = handler.compile_streaming(GenerationRequest(), GenerationRequestArguments())
    if good:
        handler.post_validation(response)
    else:
        with pytest.raises(ValueError, match="broke off"):
            handler.post_validation(response)
