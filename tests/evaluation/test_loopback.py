"""Every stage against a proxy that nobody should use: the model alone is asked, and nothing leaves this machine."""

from __future__ import annotations

import json
import selectors
import socket

import pytest

from helpers.evaluation import evaluator, garak, lm_eval, promptfoo, structured_output, tool_calling
from helpers.evaluation.promptfoo import tool
from helpers.evaluation.structured_output.probing import OBEYED, WORD
from helpers.runtime import sandbox
from helpers.runtime.workspace import ROOT

OPS = ROOT / "datasets" / "ops-assistant"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@pytest.fixture
def canary(monkeypatch):
    """A proxy for all that is not on loopback; returns how many connections came so far. No wall hides any from it."""
    monkeypatch.setattr(sandbox, "can_fence", lambda: False)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1,localhost")
    with socket.create_server(("127.0.0.1", 0)) as listening, selectors.DefaultSelector() as ready:
        listening.setblocking(False)
        ready.register(listening, selectors.EVENT_READ)
        for name in PROXIES:
            monkeypatch.setenv(name, f"http://127.0.0.1:{listening.getsockname()[1]}")
        count = 0

        def seen():
            nonlocal count
            while ready.select(0):
                listening.accept()[0].close()
                count += 1
            return count

        yield seen


def says(body):
    """What a model says that does as it is told: a probe's word, a call, JSON or a text."""
    form = body.get("response_format", {}).get("json_schema", {}).get("schema")
    if form == OBEYED:
        return {"content": json.dumps({"word": WORD})}
    calls = [{"id": "1", "type": "function", "function": {"name": "list_events", "arguments": "{}"}}]
    usage = {"usage": {"prompt_tokens": 40 if "tools" in body else 9}}
    if body.get("tool_choice") == "required":
        return {"content": None, "tool_calls": calls, "finish_reason": "tool_calls"} | usage
    return {"content": "{}" if form else "I won't, yes."} | usage


def _structured_output():
    return structured_output.Settings(name="formatting", data=OPS / "formats.jsonl", limit=8)


def _tool_calling():
    return tool_calling.Settings(data=OPS / "tools.jsonl", limit=8)


def _log_likelihood():
    return lm_eval.Settings(include_path=OPS, limit=8)


def _instructions():
    return lm_eval.Settings(task="ops_instructions", include_path=OPS, limit=8)


def _suite():
    assert (ROOT / ".tools" / "promptfoo").exists(), "promptfoo is missing: run make .tools/promptfoo"
    tool.versions.cache_clear()
    config = OPS / "suite" / "promptfooconfig.yaml"
    return promptfoo.Settings(name="application", config=config, limit=8)


def _scan():
    """Needs `make garak`."""
    probes = ("encoding.InjectBase64", "promptinject.HijackHateHumans")
    return garak.Settings(name="safety", probes=probes, soft_probe_prompt_cap=3)


@pytest.mark.parametrize(
    ("stage", "asked"),
    [
        (_structured_output, 8), (_tool_calling, 3), (_log_likelihood, 8), (_instructions, 8),
        pytest.param(_suite, 8, marks=[pytest.mark.load, pytest.mark.timeout(180)]),
        pytest.param(_scan, 6, marks=pytest.mark.build),
    ],
)  # fmt: skip
def test_no_connection_leaves_this_machine(stage, asked, canary, server, endpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(OPS / "instructions")  # from where lm-eval reads a task's data
    server.chat = says
    settings = stage()
    measuring = lm_eval if isinstance(settings, lm_eval.Settings) else evaluator.of(settings)
    found = measuring.evaluate(settings, endpoint(), tmp_path / "artifacts", show=lambda line: None)
    assert canary() == 0
    assert (found.failed, found.total) == (0, asked)
    if isinstance(settings, garak.Settings):
        assert found.score == 1
        assert not any(body["stop"] for body in server.chats), "garak's own would cut answers at # and ;"


def test_whoever_asks_the_network_is_seen(canary):
    import httpx

    with pytest.raises(httpx.TransportError):
        httpx.get("http://example.org", timeout=5)
    assert canary() == 1
