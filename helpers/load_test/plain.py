"""Requests that a strict hosted API takes: GuideLLM 0.8.1 sends vLLM's arguments too, and cannot be told not to."""

from __future__ import annotations

from typing import Any


def only_openais_own(*handlers: Any) -> None:
    """Let GuideLLM's handlers leave out what is not OpenAI's own, and what says nothing."""
    for handler in handlers:
        _wrap(handler)


def _wrap(handler: Any) -> None:
    build = handler.format

    def format(self: Any, *given: Any, **named: Any) -> Any:
        arguments = build(self, *given, **named)
        body = {name: value for name, value in arguments.body.items() if name != "ignore_eos" and value is not None}
        if "stream_options" in body:
            body["stream_options"] = {"include_usage": True}
        arguments.body = body
        return arguments

    handler.format = format
