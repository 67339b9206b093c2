"""The rows: a prompt, the schema that its answer has to meet, and values that follow from the prompt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from helpers.artifacts.canonical import digest
from helpers.datasets.lines import Faults, Row, Text, load, objects
from helpers.evaluation.structured_output import schemas


class Formatted(Row):
    """A prompt whose answer is to be JSON."""

    prompt: Text
    shape: dict[str, Any] = Field(alias="schema", description="JSON Schema of the answer")
    fields: dict[str, Any] = Field(default={}, description="right values by top-level name or JSON pointer")
    system: Text | None = Field(default=None, description="system message, in place of the settings'")

    @field_validator("shape")
    @classmethod
    def _sound(cls, value: dict[str, Any]) -> dict[str, Any]:
        schemas.check(value)
        return value

    @field_validator("fields")
    @classmethod
    def _possible(cls, value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        shape = info.data.get("shape")
        if shape and (faults := [why for each in value.items() if (why := schemas.allowed(shape, *each))]):
            raise ValueError("; ".join(faults))
        return value

    @property
    def text(self) -> str:
        """The prompt."""
        return self.prompt

    @property
    def digest(self) -> str:
        """Return the digest of everything that is asked and expected."""
        return digest(self.model_dump(mode="json", exclude={"id", "category"}))


def load_rows(path: Path) -> dict[int, Formatted]:
    """Return the rows by their lines; raises InvalidDataset naming file, line and field of every bad row."""
    rows = load(path, Formatted, "prompt")
    return dict(zip((number for number, _ in objects(path, Faults(path))), rows, strict=True))
