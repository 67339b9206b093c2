"""Which interface is asked and with what: chat first, and what a model lacks is done without."""

from __future__ import annotations

import json

import pytest

from helpers.errors import EndpointUnreachable, InvalidDataset
from helpers.load_test import workload
from helpers.load_test.command import build_command
from helpers.load_test.tokens import BYTES
from helpers.serving.offers import CHAT, COMPLETIONS, Offers

from .conftest import brief
from .test_command import options

NOT = "it answers 404"


@pytest.fixture
def offered(monkeypatch):
    def offer(chat="", completions=""):
        monkeypatch.setattr(workload, "offers", lambda _: Offers(chat=chat, completions=completions, logprobs=NOT))

    return offer


@pytest.mark.parametrize(
    ("api", "chat", "completions", "path"),
    [
        ("auto", "", "", CHAT),
        ("auto", "", NOT, CHAT),
        ("auto", NOT, "", COMPLETIONS),
        ("chat", NOT, NOT, CHAT),
        ("completions", NOT, NOT, COMPLETIONS),
    ],
)
def test_chat_is_asked_where_it_is_offered_unless_api_says_which(api, chat, completions, path, offered, endpoint):
    offered(chat, completions)
    assert workload.load(brief(api=api), endpoint()).path == path


def test_a_server_that_offers_neither_is_told_with_both_reasons(offered, endpoint):
    offered("no template", "no such path")
    with pytest.raises(EndpointUnreachable) as refused:
        workload.load(brief(api="auto"), endpoint())
    assert all(reason in refused.value.what for reason in ("no template", "no such path"))


def test_without_a_tokenizer_prompts_are_made_by_length(endpoint, tmp_path):
    requests = workload.load(brief(), endpoint().model_copy(update={"tokenizer": ""}))
    assert (requests.tokenizer, requests.prompt_tokens, requests.unit) == (None, 32, BYTES)
    [data] = options(build_command(brief(), endpoint(), requests, tmp_path), "data")
    assert data["prompt_tokens"] == 32 * BYTES


def test_a_conversation_is_no_completion(endpoint, tmp_path, offered):
    turns = [("system", "be brief"), ("user", "which pod"), ("assistant", "web-1"), ("user", "restart it")]
    row = {"messages": [{"role": role, "content": content} for role, content in turns], "output_tokens": 4}
    path = tmp_path / "prompts.jsonl"
    path.write_text(json.dumps(row))
    settings = brief(workload="prompts", prompts=str(path))
    assert workload.load(settings, endpoint()).example[0] == "restart it"
    with pytest.raises(InvalidDataset, match="line 1"):
        workload.load(brief(workload="prompts", prompts=str(path), api="completions"), endpoint())
    offered(chat="it has no template")
    path.write_text(json.dumps([row, {"prompt": "one alone"}, {**row, "id": "another", "output_tokens": 5}]))
    with pytest.raises(InvalidDataset) as refused:
        workload.load(brief(workload="prompts", prompts=str(path), api="auto"), endpoint())
    assert refused.value.what.count("line 1") == 1
    assert "it has no template" in refused.value.what


def test_every_prompt_that_is_too_long_is_named_at_once(endpoint, tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": text}) for text in ("a", "b " * 9000, "c", "d " * 9000)))
    with pytest.raises(InvalidDataset, match=r"line 2, field prompt: .* line 4, field prompt: "):
        workload.load(brief(workload="prompts", prompts=str(path)), endpoint())


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"scale": 1, "workload": "rag"}, "rag"),
        ({"scale": 0.125, "workload": "chatbot"}, "chatbot_64_32"),
    ],
)
def test_a_scaled_workload_is_another_one(changes, name, endpoint):
    assert workload.load(brief(**changes), endpoint(max_model_len=20_000)).name == name
