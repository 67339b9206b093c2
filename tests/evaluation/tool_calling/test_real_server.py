"""Real vLLM: what it does with functions by its own template, and by ours."""

from __future__ import annotations

import pytest

from helpers import serving
from helpers.errors import NotMeasurable
from helpers.evaluation.tool_calling.probing import probe, request
from helpers.evaluation.tool_calling.rows import ToolRow
from helpers.runtime import processes
from helpers.serving import client
from helpers.serving.offers import CHAT
from tests.plugins.models import select, serve_settings

pytestmark = pytest.mark.stack
PARSER = "--enforce-eager --enable-auto-tool-choice --tool-call-parser hermes"
LEVELS = ["debug", "info", "error"]
ROW = ToolRow(
    id="1", category="simple", prompt="Log errors only", expected=[{"log.level": {"level": ["error"]}}],
    functions=[{
        "name": "log.level", "description": "Set the level",
        "parameters": {"type": "dict", "properties": {"level": {"type": "string", "enum": LEVELS}},
                       "required": ["level"], "additionalProperties": False},
    }],
)  # fmt: skip


@pytest.fixture
def served(tiny_model, monkeypatch, tmp_path):
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    yield lambda args: serving.deploy(select(tiny_model), serve_settings(engine_args=args))
    for running in processes.all_running():
        processes.end(running)


def test_a_template_that_drops_the_functions_is_recognised_and_ours_shows_them(served):
    with pytest.raises(NotMeasurable, match="leaves the functions out"):
        probe(served(PARSER), ROW, [])
    [running] = processes.all_running()
    processes.end(running)
    endpoint = served(f"{PARSER} --chat-template hermes")
    assert probe(endpoint, ROW, []) == ""
    body = {"model": endpoint.model, "messages": ROW.turns, "temperature": 0, "max_tokens": 256}
    answer = client.post(endpoint.url, CHAT, body | request(ROW, strict=True))
    said = answer.body["choices"][0]["message"]
    assert said.get("tool_calls") or said["content"].startswith("<tool_call>"), "random weights, bound to call"
