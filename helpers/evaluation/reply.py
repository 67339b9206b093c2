"""One generated text, and what the server says about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

Status = Literal["answered", "empty", "truncated"]
THOUGHT = "</think>"  # ends the reasoning of a model whose server does not part it from the answer


class Reply(str):
    """A text as lm-eval scores it, with its facts; `status` says whether it is an answer at all."""

    finish_reason: str
    reasoning: str
    usage: dict[str, int]  # tokens
    seconds: float  # from the request to the whole answer
    tool_calls: list[dict[str, Any]]  # as the server gives them

    def __new__(cls, text: str, finish_reason: str = "", reasoning: str = "", **more: Any) -> Self:
        """Make one of a text and its `facts`."""
        reply = super().__new__(cls, text)
        reply.finish_reason, reply.reasoning = finish_reason, reasoning
        reply.usage, reply.seconds = more.get("usage", {}), more.get("seconds", 0.0)
        reply.tool_calls = more.get("tool_calls", [])
        return reply

    @property
    def status(self) -> Status:
        """A text that was cut off may have become another answer, and no text is none: neither is a wrong one."""
        if not (self.strip() or self.tool_calls):
            return "empty"
        return "truncated" if self.finish_reason == "length" else "answered"

    @property
    def facts(self) -> dict[str, Any]:
        """All but the text, as the journal and the samples log keep it."""
        return {name: value for name, value in vars(self).items() if name != "tool_calls" or value}

    @property
    def why(self) -> str:
        """Why it is no answer."""
        told = f", {len(self.reasoning)} characters of reasoning" if self.reasoning else ""
        return f"{self.status} (finish_reason {self.finish_reason or 'not told'}{told})"


def replies(output: Mapping[str, Any], seconds: float) -> list[Reply]:
    """Return the texts of one response, of chat or completions; raises KeyError or TypeError where it has none."""
    choices = sorted(output["choices"], key=lambda choice: choice.get("index", 0))
    usage = output.get("usage") or {}
    counts = {name: count for name, count in usage.items() if isinstance(count, int)} if len(choices) == 1 else {}
    return [_reply(choice, usage=counts, seconds=round(seconds, 3)) for choice in choices]


def _reply(choice: Mapping[str, Any], **more: Any) -> Reply:
    message = choice.get("message")
    text = choice["text"] if message is None else message["content"]
    told = message or {}
    reasoning = told.get("reasoning_content") or told.get("reasoning") or ""
    before, end, after = (text or "").rpartition(THOUGHT)
    if before.lstrip().startswith("<think>") or (end and not reasoning):
        reasoning, text = before, after.lstrip()
    elif (text or "").lstrip().startswith("<think>"):
        reasoning, text = text, ""
    calls = told.get("tool_calls") or []
    return Reply(text or "", choice.get("finish_reason") or "", reasoning, tool_calls=calls, **more)
