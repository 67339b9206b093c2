"""Whether a server can be asked with functions at all: found out before the rows are asked."""

from __future__ import annotations

from typing import Any

from helpers.artifacts import Endpoint
from helpers.errors import NotMeasurable
from helpers.evaluation.tool_calling.rows import ToolRow
from helpers.serving import client
from helpers.serving.offers import CHAT

PARSER = "ENGINE_ARGS=--enable-auto-tool-choice --tool-call-parser NAME, with the parser of the model's family"
REFUSED = (400, 404, 422, 501)


def probe(endpoint: Endpoint, row: ToolRow, system: list[dict[str, Any]]) -> str:
    """Ask for one token thrice: without functions, with them, and with strict ones.

    Return why the server takes no strict functions, "" where it does. Raises NotMeasurable where it takes none at all,
    and where the prompt is no longer with them: the chat template leaves them out. Raises EndpointUnreachable.
    """
    body = {"model": endpoint.model, "messages": [*system, *row.turns], "max_tokens": 1, "temperature": 0}
    with client.access(endpoint.auth):
        plain = client.post(endpoint.url, CHAT, body)
        free = client.post(endpoint.url, CHAT, body | request(row, strict=False))
        strict = client.post(endpoint.url, CHAT, body | request(row, strict=True))
    refused = next((answer for answer in (plain, free) if answer.status in client.UNAUTHORIZED), None)
    if refused:
        raise client.wrong_key(endpoint.url, refused)
    if plain.status == 200 and free.status in REFUSED:
        raise NotMeasurable(
            f"{endpoint.model} at {endpoint.url} takes no functions: {free.status} {free.said}".rstrip(),
            do=f"Deploy it with {PARSER}, or leave this evaluation out of the use case",
        )
    without, with_functions = _prompt(plain), _prompt(free)
    if without and with_functions and with_functions <= without:
        raise NotMeasurable(
            f"The chat template of {endpoint.model} leaves the functions out, so the model never sees them: the prompt "
            f"has {with_functions} tokens with them and {without} without",
            do="Serve a model whose chat template shows them, or one of ChatML's on this machine with ENGINE_ARGS="
            "--enable-auto-tool-choice --tool-call-parser hermes --chat-template hermes",
        )
    return f"{strict.status} {strict.said}".strip() if strict.status in REFUSED else ""


def request(row: ToolRow, *, strict: bool) -> dict[str, Any]:
    """Return what a request says of functions: free to call them, or bound to, with arguments as the schema says."""
    tools = [function.tool(strict=strict) for function in row.functions]
    return {"tools": tools, "tool_choice": "required" if strict else "auto"}


def _prompt(answer: client.Answer) -> int | None:
    """Return the tokens of the prompt, None where the server does not tell them."""
    usage = answer.body.get("usage") if isinstance(answer.body, dict) else None
    count = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return count if isinstance(count, int) else None
