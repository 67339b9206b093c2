"""The rows: one's own file, or BFCL's, whose answers and whose rows without a call stand beside its questions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self

from jsonschema import SchemaError
from jsonschema.validators import validator_for
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from helpers.artifacts.canonical import digest
from helpers.datasets.lines import Faults, Row, Text, load, objects, parse
from helpers.errors import InvalidDataset
from helpers.evaluation.tool_calling.schemas import callable_name, translated

BFCL, ANSWERS = re.compile(r"(?P<version>BFCL_v\d+)_(?P<category>\w+)\.json"), "possible_answer"
NOT_READ = ("java", "multi_turn", "memory", "web_search", "relevance_", "format_sensitivity")  # other languages, agents
Category = Literal["simple", "multiple", "parallel", "irrelevance", "missing_information"]
SILENT = ("irrelevance", "missing_information")  # expect no call


class Function(BaseModel):
    """A function that the model may call, as OpenAI's API defines it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: Text
    parameters: dict[str, Any] = Field(description="a JSON Schema of an object")

    @field_validator("name", mode="before")
    @classmethod
    def _without_dots(cls, value: Any) -> Any:
        return callable_name(value) if isinstance(value, str) else value

    @field_validator("parameters", mode="before")
    @classmethod
    def _schema(cls, value: Any) -> Any:
        found = translated(value)
        if not isinstance(found, dict) or found.get("type") != "object":
            raise ValueError("is no schema of an object")
        if not isinstance(found.get("properties"), dict):
            raise ValueError("has no properties")
        try:
            validator_for(found).check_schema(found)
        except SchemaError as error:
            raise ValueError(f"is no JSON Schema: {error.message}") from error
        return found

    def tool(self, *, strict: bool) -> dict[str, Any]:
        """Return it as a request has it; `strict`: the server holds the arguments to the schema."""
        return {"type": "function", "function": self.model_dump() | ({"strict": True} if strict else {})}


class ToolRow(Row):
    """A request, the functions at hand, and the calls that answer it; none for a request that no function serves."""

    category: Category
    prompt: Text | None = None
    messages: list[dict[str, Any]] | None = Field(default=None, description="in place of prompt")
    functions: list[Function] = Field(min_length=1)
    expected: list[dict[str, dict[str, list[Any]]]] = Field(
        default=[], description="[{function: {argument: [allowed values]}}]"
    )

    @field_validator("expected", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        if not isinstance(value, list) or not all(isinstance(call, dict) and len(call) == 1 for call in value):
            raise ValueError("is no list of {function: {argument: [allowed values]}}")
        return [{callable_name(name): arguments for name, arguments in call.items()} for call in value]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.prompt is None) == (not self.messages):
            raise ValueError("give either prompt or messages")
        if len(self.schemas) != len(self.functions):
            raise ValueError("two functions have one name")
        if bool(self.expected) == (self.category in SILENT):
            raise ValueError(f"{self.category} expects {'no call' if self.expected else 'a call, and names none'}")
        if (len(self.expected) > 1) != (self.category == "parallel") and self.expected:
            raise ValueError(f"{self.category} with {len(self.expected)} calls")
        if unknown := [name for name, _ in self.calls if name not in self.schemas]:
            raise ValueError(f"expects {unknown[0]}, which is none of its functions")
        return self

    @property
    def calls(self) -> list[tuple[str, dict[str, list[Any]]]]:
        """Each expected call: its name, and the allowed values by argument."""
        return [call for each in self.expected for call in each.items()]

    @property
    def text(self) -> str:
        """The request with its functions: the same words may be asked where another function is at hand."""
        return "\n".join([self.asked, *sorted(self.schemas)])

    @property
    def asked(self) -> str:
        """What the user said last."""
        return self.prompt or str((self.messages or [{}])[-1].get("content") or "")

    @property
    def turns(self) -> list[dict[str, Any]]:
        """The conversation."""
        return self.messages or [{"role": "user", "content": self.prompt}]

    @cached_property
    def schemas(self) -> dict[str, dict[str, Any]]:
        """The parameters of each function."""
        return {function.name: function.parameters for function in self.functions}

    @property
    def digest(self) -> str:
        """Of all that decides question and score."""
        return digest(self.model_dump(mode="json", exclude={"id"}))


class OwnRow(ToolRow):
    """A row of one's own file; BFCL's have some that nobody can answer, and they stay, as on its leaderboard."""

    @model_validator(mode="after")
    def _answerable(self) -> Self:
        for name, arguments in self.calls:
            schema = self.schemas[name]
            if unknown := sorted(arguments.keys() - schema["properties"].keys()):
                raise ValueError(f"expects {name} with {unknown[0]}, which it does not have")
            if missing := sorted(set(schema.get("required", ())) - arguments.keys()):
                raise ValueError(f"expects {name} without {missing[0]}, which it requires")
            if empty := [argument for argument, values in arguments.items() if not values]:
                raise ValueError(f"allows no value for {empty[0]} of {name}")
        return self


def read_rows(path: Path) -> list[ToolRow]:
    """Return all rows. Raises InvalidDataset with file, line and field of all that is wrong."""
    found = BFCL.fullmatch(path.name)
    rows: list[ToolRow] = _with_silent(path, found["category"]) if found else [*load(path, OwnRow, "prompt")]
    if not any(row.expected for row in rows):
        raise InvalidDataset(f"{path}: no row expects a call, so nothing can be right", do="Add such rows")
    return rows


def sources(path: Path) -> dict[str, Path]:
    """Return the files that hold the rows, by name: with BFCL's answers, and its rows that no function serves."""
    beside = {f"answers/{path.name}": path.parent / ANSWERS / path.name}
    if silent := _silent(path):
        beside[silent.name] = silent
    return {path.name: path} | {name: each for name, each in beside.items() if each.is_file()}


def _silent(path: Path) -> Path | None:
    """Return the file of BFCL's rows that no function serves; those beside live calls are live ones."""
    found = BFCL.fullmatch(path.name)
    if not found:
        return None
    live = "live_" if found["category"].startswith("live_") else ""
    return path.with_name(f"{found['version']}_{live}irrelevance.json")


def _with_silent(path: Path, category: str) -> list[ToolRow]:
    """Return BFCL's rows, evenly mixed with those that expect no call where they lie beside: the first n are a sample.

    Those alone are refused: silence would be all that is measured.
    """
    calling, silent = _bfcl(path, category), _silent(path)
    beside = _read(silent, "irrelevance") if silent and silent.is_file() else []
    placed = [((place + 0.5) / len(rows), row) for rows in (calling, beside) for place, row in enumerate(rows)]
    return [row for _, row in sorted(placed, key=lambda each: each[0])]


def _bfcl(path: Path, category: str) -> list[ToolRow]:
    if any(part in category for part in NOT_READ) or category.startswith(SILENT):
        raise InvalidDataset(
            f"{path} holds BFCL's {category}, which is not asked here", do="Name simple_python, multiple or parallel"
        )
    return _read(path, next((name for name in ("parallel", "multiple") if name in category), "simple"), _answers(path))


def _read(path: Path, kind: str, answers: Mapping[str, Any] = MappingProxyType({})) -> list[ToolRow]:
    faults = Faults(path)
    rows = [parse(number, _own(values, kind, answers), ToolRow, faults) for number, values in objects(path, faults)]
    faults.tell()
    return [row for row in rows if row]


def _answers(path: Path) -> dict[str, Any]:
    beside = path.parent / ANSWERS / path.name
    faults = Faults(beside)
    found = {str(row.get("id")): row.get("ground_truth") for _, row in objects(beside, faults)}
    faults.tell()
    return found


def _own(values: Mapping[str, Any], kind: str, answers: Mapping[str, Any]) -> dict[str, Any]:
    question = values.get("question") or [[]]
    functions = [
        {name: function.get(name) for name in ("name", "description", "parameters")}
        for function in values.get("function") or ()
    ]
    expected = answers.get(str(values.get("id")), [])
    return {"id": values.get("id"), "category": kind, "messages": question[0], "functions": functions,
            "expected": expected}  # fmt: skip
