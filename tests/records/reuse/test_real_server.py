"""How many prompts real vLLM counts when questions were added, and when nothing has changed."""

from __future__ import annotations

import re

import httpx
import pytest

from helpers.evaluation import lm_eval
from helpers.records import logbook, reuse
from helpers.registry import connect
from helpers.runtime.workspace import ROOT
from tests.plugins.records import CHAT, a_sweep, about

pytestmark = pytest.mark.stack
QUESTIONS = (ROOT / "datasets" / "ops-assistant" / "ops_assistant.jsonl").read_text("utf-8").splitlines()
CHOICES, PROBES = 4, 3  # a server is asked what it offers: a chat, a text, log-probabilities


def prompts_counted(endpoint):
    """How many prompts vLLM says that it has answered."""
    text = httpx.get(f"{endpoint.url}/metrics", timeout=20).text
    return sum(float(value) for value in re.findall(r"^vllm:request_success_total\{.*\} (\S+)$", text, re.MULTILINE))


def test_ten_more_questions_send_forty_choices_and_a_rerun_none(tiny_endpoint, questions, tmp_path, registry_server):
    registry, settings = connect(registry_server.address), lm_eval.Settings(include_path=questions)

    def ask(folder, count, **known):
        (questions / "ops_assistant.jsonl").write_text("\n".join(QUESTIONS[:count]) + "\n")
        before = prompts_counted(tiny_endpoint)
        chosen = reuse.Settings(registry=registry.address, **known)
        result = reuse.evaluate(settings, tiny_endpoint, chosen, tmp_path / folder, [].append)
        result.write(tmp_path / folder)
        return result, prompts_counted(tiny_endpoint) - before

    def log(folder):
        for part in (selection, tiny_endpoint, about(selection, a_sweep())):
            part.write(tmp_path / folder)
        (tmp_path / folder / CHAT.report).write_text("{}")
        return logbook.log(logbook.Settings(store=(tmp_path / "store").as_uri()), registry, tmp_path / folder)

    selection = registry.register_candidate("tiny", "1.0.0", uri="file:///m", digest=tiny_endpoint.digest, size_bytes=1)
    _, sent = ask("first", 40)
    assert sent == 40 * CHOICES + PROBES
    log("first")
    more, sent = ask("more", 50)
    assert sent == 10 * CHOICES + PROBES, "forty choices, and what asks the server what it offers"
    assert more.n == 50
    record = log("more")
    again, sent = ask("again", 50)
    assert sent == 0
    assert again == more.model_copy(update={"taken_from": record.record_id, "run": record.run})
    fresh, sent = ask("fresh", 50, fresh=True)
    assert sent == 50 * CHOICES + PROBES
    assert fresh.correct == more.correct
