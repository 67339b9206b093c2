"""What an endpoint can be asked: chat, completions, log-probabilities of a prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from helpers.artifacts import Contract, Endpoint
from helpers.errors import EndpointUnreachable
from helpers.runtime.partial import again
from helpers.runtime.patience import patiently
from helpers.serving import client

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
TEXT = "The capital of France is"
TOKENS = [5, 6, 7, 8]  # ids that every vocabulary has: lm-eval sends a prompt as such
PATIENCE_SECONDS = 60.0
PASSING, NOT_IMPLEMENTED = (408, 425, 429), 501

Body = Mapping[str, Any]


class Offers(Contract):
    """What the server answers: "" where it does, otherwise one sentence why not."""

    chat: str
    completions: str
    logprobs: str  # of the prompt's own tokens, as lm-eval's local-completions asks for them


class _Busy(EndpointUnreachable):
    """The server answers that it cannot now, or with an error of its own."""

    def __init__(self, url: str, answer: client.Answer) -> None:
        super().__init__(f"{url} {_refusal(answer)}", do=f"Wait until it answers, then {again()}")
        self.answer = answer


def offers(endpoint: Endpoint) -> Offers:
    """Ask the server one tiny request of each kind.

    Raises EndpointUnreachable where it does not answer at all, or it answers nothing and says that the key is wrong.
    """
    return offered(endpoint.url, endpoint.model, endpoint.auth)


def offered(url: str, model: str, auth: client.Auth = "key") -> Offers:
    """Return what a server has, by its address. Raises as `offers` does."""
    text: Body = {"model": model, "prompt": TEXT, "max_tokens": 1}
    scored: Body = {"model": model, "prompt": TOKENS, "max_tokens": 1, "temperature": 0, "logprobs": 1, "echo": True}
    with client.access(auth):
        chat = _chat(url, model)
        completions = ask(url, COMPLETIONS, text)
        logprobs = completions if _why(completions, _text) else ask(url, COMPLETIONS, scored)
    found = (chat, completions, logprobs)
    refused = [answer for answer in found if answer.status in client.UNAUTHORIZED]
    if refused and not any(answer.status == 200 for answer in found):
        raise client.wrong_key(url, refused[0])
    return Offers(chat=_why(chat, _message), completions=_why(completions, _text), logprobs=_why(logprobs, _scored))


def answers(endpoint: Endpoint) -> bool:
    """Return whether the model answers at all. Raises as `offers` does."""
    found = offers(endpoint)
    return not (found.chat and found.completions)


def _chat(url: str, model: str) -> client.Answer:
    body = {"model": model, "messages": [{"role": "user", "content": TEXT}]}
    answer = ask(url, CHAT, {**body, "max_tokens": 1})
    if answer.status in (400, 422) and "max_tokens" in answer.said:  # the newer name, which some models insist on
        return ask(url, CHAT, {**body, "max_completion_tokens": 16})
    return answer


def ask(url: str, path: str, body: Body) -> client.Answer:
    """Return the answer, also a refusal; a server that is away or busy for a moment is asked again."""

    def once() -> client.Answer:
        answer = client.post(url, path, body)
        if answer.status in PASSING or (answer.status >= 500 and answer.status != NOT_IMPLEMENTED):
            raise _Busy(url, answer)
        return answer

    try:
        return patiently(
            once,
            what=f"the server at {url}",
            do="See in its log why it does not answer",
            again=lambda error: isinstance(error, EndpointUnreachable),
            seconds=PATIENCE_SECONDS,
        )
    except _Busy as error:
        return error.answer


def _why(answer: client.Answer, holds: Any) -> str:
    if answer.status != 200:
        return f"the server {_refusal(answer)}"
    try:
        return str(holds(answer.body["choices"][0]))
    except (KeyError, IndexError, TypeError):
        return f"the server's answer to {answer.path} has another form than OpenAI's"


def _refusal(answer: client.Answer) -> str:
    return f"answers {answer.status} for {answer.path}{': ' if answer.said else ''}{answer.said}"


def _message(choice: Any) -> str:
    return "" if isinstance(choice["message"], dict) else "the server's answer holds no message"


def _text(choice: Any) -> str:
    return "" if isinstance(choice["text"], str) else "the server's answer holds no text"


def _scored(choice: Any) -> str:
    found = choice.get("logprobs") or {}
    numbers, top = found.get("token_logprobs"), found.get("top_logprobs")
    if not isinstance(numbers, list) or not isinstance(top, list):
        return "the server's answer holds no log-probabilities"
    prompt = numbers[1 : len(TOKENS)]  # the first token has none
    if len(numbers) < len(TOKENS) or not all(isinstance(number, int | float) for number in prompt):
        return "the server gives log-probabilities of its answer and none of the prompt (it ignores echo)"
    return ""
