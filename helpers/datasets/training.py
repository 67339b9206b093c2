"""What a model is tuned on: conversations as JSON lines, in the forms that TRL takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from helpers.datasets.lines import Faults, Row, objects, parse
from helpers.datasets.prompts import Message


class Example(Row):
    """A conversation; every answer in it is learned."""

    messages: list[Message] = Field(description="turns of user and assistant")

    @field_validator("messages")
    @classmethod
    def _in_turns(cls, value: list[Message]) -> list[Message]:
        roles = [turn.role for turn in value]
        spoken = roles[1:] if roles[:1] == ["system"] else roles
        if len(spoken) % 2 or spoken != ["user", "assistant"] * (len(spoken) // 2) or not spoken:
            raise ValueError("user and assistant take turns, the user first and the assistant last")
        return value

    @property
    def text(self) -> str:
        """The last thing that the user says."""
        return self.messages[-2].content

    @property
    def turns(self) -> list[dict[str, str]]:
        """The conversation as a chat template takes it."""
        return [turn.model_dump() for turn in self.messages]


def load_examples(path: Path) -> list[Example]:
    """Return all rows; `id` and `category` may be left out, and prompt and completion stand for one exchange.

    Raises InvalidDataset with file, line and field of every bad row.
    """
    faults, found, seen = Faults(path), list[Example](), dict[str, int]()
    for number, raw in objects(path, faults):
        row = parse(number, _filled(number, raw), Example, faults)
        if row is None:
            continue
        if (first := seen.setdefault(row.id, number)) != number:
            faults.add(number, f"the same id stands in line {first}", "id")
        found.append(row)
    faults.tell()
    return found


def _filled(number: int, raw: dict[str, Any]) -> dict[str, Any]:
    """Return a row with what may be left out, its prompt and completion as messages."""
    row = {"id": f"row-{number}", "category": "examples"} | raw
    if "messages" in row or not {"prompt", "completion"} <= row.keys():
        return row
    messages: list[Any] = []
    for role, said in (("user", row.pop("prompt")), ("assistant", row.pop("completion"))):
        messages += said if isinstance(said, list) else [{"role": role, "content": said}]
    return row | {"messages": messages}
