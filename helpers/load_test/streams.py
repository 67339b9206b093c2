"""A stream that breaks off is a failed request; GuideLLM 0.8.1 counts it as answered, however few tokens came."""

from __future__ import annotations

from typing import Any


def demand_an_end(handler: Any) -> None:
    """Let GuideLLM's handler of streams (of completions, and of chats, which inherits) refuse those without an end."""
    read, validate = handler.extract_line_data, handler.post_validation

    def extract_line_data(self: Any, line: str) -> Any:
        data = read(self, line)
        self.ended = getattr(self, "ended", False) or _ends(data)
        return data

    def post_validation(self: Any, response: Any) -> None:
        if not getattr(self, "ended", True):  # what was not streamed has no such mark
            raise ValueError("the stream broke off: no finish reason, no usage at its end, no [DONE]")
        validate(self, response)

    handler.extract_line_data, handler.post_validation = extract_line_data, post_validation


def _ends(data: Any) -> bool:
    """Whether a line ends a stream: `[DONE]`, a finish reason, or the usage alone; with a token it is a running one."""
    if not data:
        return data is None
    choices = data.get("choices") or ()
    return any(choice.get("finish_reason") for choice in choices) or bool(data.get("usage") and not choices)
