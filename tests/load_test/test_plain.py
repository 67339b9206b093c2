"""A hosted API that knows no ignore_eos is loaded by requests that hold OpenAI's own arguments only."""

from __future__ import annotations

import pytest
from guidellm.backends.openai.request_handlers import ChatCompletionsRequestHandler, TextCompletionsRequestHandler
from guidellm.schemas import GenerationRequest, UsageMetrics

from helpers.load_test import planning
from helpers.load_test.plain import only_openais_own
from helpers.load_test.workload import Workload
from helpers.serving.offers import CHAT
from tests.plugins.hosted_api import OPENAI
from tests.serving.test_offers import endpoint

SHAPE = Workload("prompts", None, 16, asked=(16, 32), path=CHAT, example=("Why does a pod restart?", 16))


@pytest.mark.parametrize(("offered", "plain"), [
    ({"strict": True}, True), ({"strict": False, "obeys": False}, True), ({"strict": False, "obeys": True}, False),
], ids=["refuses", "pays no heed", "obeys"])  # fmt: skip
def test_an_endpoint_is_asked_whether_it_takes_ignore_eos(hosted, offered, plain):
    for name, value in offered.items():
        setattr(hosted, name, value)
    found = planning.accepted(endpoint(hosted), SHAPE)
    assert found.plain is plain
    assert found.outputs == (() if plain else (16, 32))  # without it an answer that is short is no fault
    assert planning.one_request(endpoint(hosted), found) > 0


def test_a_server_that_refuses_for_another_reason_says_why(hosted):
    other = endpoint(hosted, model="another")
    assert planning.accepted(other, SHAPE) == SHAPE


def test_what_we_serve_ourselves_is_not_asked(hosted):
    assert planning.accepted(endpoint(hosted, target="local"), SHAPE) is SHAPE
    assert hosted.asked == []


@pytest.mark.parametrize("kind", [ChatCompletionsRequestHandler, TextCompletionsRequestHandler])
def test_guidellms_own_requests_are_what_openai_documents(kind):
    class Strict(kind):
        pass

    only_openais_own(Strict)
    request = GenerationRequest(columns={"text_column": ["hello"]}, output_metrics=UsageMetrics(text_tokens=16))
    given = {"model": "m", "stream": True}
    known = OPENAI | {"prompt"}
    assert "ignore_eos" in kind().format(request, **given).body
    body = Strict().format(request, **given).body
    assert body.keys() <= known
    assert body["stream_options"] == {"include_usage": True}
    assert 16 in (body.get("max_tokens"), body.get("max_completion_tokens"))
    assert None not in body.values()
