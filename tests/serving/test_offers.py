"""What a server offers is asked of the server, and a refusal of one path is no wrong key."""

from __future__ import annotations

import pytest

from helpers.artifacts import Endpoint, Hardware, now
from helpers.errors import ArtifactMissing, EndpointUnreachable, NotMeasurable
from helpers.serving import offers as module
from helpers.serving.offers import offers
from helpers.serving.tokenizing import ServedTokenizer
from tests.plugins.hosted_api import CANARY

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"


def endpoint(hosted, **changes):
    known = {
        "target": "existing", "url": hosted.url, "model": hosted.model, "tokenizer": "", "max_model_len": 2048,
        "engine_version": "unknown", "hardware": Hardware(type="unknown", count=1), "digest": "",
        "digest_verified": False, "started": now(),
    }  # fmt: skip
    return Endpoint(**known | changes)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.0)


def test_a_chat_model_offers_chat_and_says_of_the_rest_why_not(hosted):
    found = offers(endpoint(hosted))
    assert found.chat == ""
    assert "404" in found.completions
    assert found.logprobs == found.completions
    assert [path for path, _ in hosted.asked] == [CHAT, COMPLETIONS]


@pytest.mark.parametrize(("completions", "logprobs"), [("text", False), ("scored", True)])
def test_log_probabilities_are_offered_where_they_are_the_prompts(hosted, completions, logprobs):
    hosted.completions = completions
    found = offers(endpoint(hosted))
    assert found.completions == ""
    assert (found.logprobs == "") is logprobs


def test_a_model_that_insists_on_the_newer_name_of_max_tokens_has_chat(hosted):
    hosted.newer = True
    assert offers(endpoint(hosted)).chat == ""


def test_one_path_that_is_denied_is_no_wrong_key(hosted):
    hosted.statuses = {COMPLETIONS: 403}
    found = offers(endpoint(hosted))
    assert found.chat == ""
    assert "403" in found.completions


@pytest.mark.parametrize("key", ["", "another-key-0815"])
def test_a_wrong_key_is_told_and_not_repeated(hosted, monkeypatch, key):
    monkeypatch.setenv("ENDPOINT_API_KEY", key)
    with pytest.raises(EndpointUnreachable) as error:
        offers(endpoint(hosted))
    assert "ENDPOINT_API_KEY" in error.value.do
    assert not key or key not in str(error.value)


def test_what_a_server_says_is_told_without_the_key(hosted):
    hosted.model = "other"
    hosted.key = ""
    found = offers(endpoint(hosted, model=CANARY))  # the server repeats what it was given
    assert "404" in found.chat
    assert CANARY not in str(found)


def test_a_server_error_on_one_path_leaves_the_others(hosted, impatient):
    hosted.statuses = {CHAT: 500}
    hosted.completions = "text"
    found = offers(endpoint(hosted))
    assert "500" in found.chat
    assert found.completions == ""


def test_a_busy_server_is_asked_again(hosted, monkeypatch):
    hosted.statuses = {CHAT: 429}
    monkeypatch.setattr("helpers.runtime.patience.time.sleep", lambda seconds: hosted.statuses.clear())
    assert offers(endpoint(hosted)).chat == ""


def test_an_address_that_nobody_answers_is_told(hosted, impatient):
    with pytest.raises(EndpointUnreachable):
        offers(endpoint(hosted, url="http://127.0.0.1:9"))


def test_an_endpoint_without_a_tokenizer_says_so_where_one_is_asked_for(hosted):
    with pytest.raises(ArtifactMissing):
        endpoint(hosted).tokenizer_folder()


def test_a_server_tokenizes_where_nobody_has_its_tokenizer(hosted):
    hosted.tokenizes = True
    tokenizer = ServedTokenizer(hosted.url, hosted.model)
    assert tokenizer("ab").input_ids == [97, 98]
    assert tokenizer(["a", "ab"]).input_ids == [[97], [97, 98]]
    assert tokenizer.bos_token_id == 1
    asked = len(hosted.asked)
    tokenizer("ab")
    assert len(hosted.asked) == asked  # the choices of a question share their beginning


def test_a_server_that_tokenizes_nothing_is_not_asked_for_likelihoods(hosted):
    with pytest.raises(NotMeasurable, match="TASK"):
        ServedTokenizer(hosted.url, hosted.model)
