"""A pipeline's values, held against the rules of the stages that will read them, before anything starts.

The rules stand in one place, the notebooks: the types in their `parameters` cell, and the settings that the cell after
it makes of them.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from helpers.errors import InvalidParameter
from helpers.parameters import UNSAFE, Settings
from helpers.pipelines.definition import Pipeline

WORDS = ("true", "1", "false", "0")  # what the notebooks read as a bool
KINDS = {"int": "whole number", "float": "number"}


def check_values(pipeline: Pipeline, given: Mapping[str, str]) -> None:
    """Refuse names that the pipeline does not know and values that a stage would refuse, all of them at once.

    Raises InvalidParameter.
    """
    if found := list(dict.fromkeys(_faults(pipeline, given))):
        raise InvalidParameter("; ".join(found), do="Correct what is named; nothing has been started")


def _faults(pipeline: Pipeline, given: Mapping[str, str]) -> Iterator[str]:
    try:
        pipeline.known(given)
    except InvalidParameter as error:
        yield f"{error.what} ({error.do})"
    refused = {name: fault for name, value in given.items() if (fault := _not_carried(name, value))}
    yield from refused.values()
    values = pipeline.parameters | {name: value for name, value in given.items() if name not in refused}
    for node in pipeline.nodes:
        known = {item["env_var"]: item["value"] for item in node["env_vars"]}
        known |= {name: values[name] for name in node["pipeline_parameters"] if name in values}
        yield from stage_faults((pipeline.file.parent / node["filename"]).resolve(), known)


def _not_carried(name: str, value: str) -> str:
    """Return why a value does not reach a pod as it is, "" where it does."""
    if not value:  # Elyra compiles an empty default to none, and the pod's shell then sees the placeholder
        return f"{name} is empty: leave it out"
    if found := UNSAFE.search(value):
        return f"{name} holds the character {found.group()!r}, which does not travel through a shell"
    return ""


def stage_faults(notebook: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield what a stage would refuse in its environment variables."""
    cells = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    tagged = [number for number, cell in enumerate(cells) if "parameters" in cell["metadata"].get("tags", ())]
    if not tagged:
        return
    names: dict[str, Any] = {}
    for line in _lines(cells[tagged[0]]):
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.value:
            yield from _read(line.target.id, ast.unparse(line.annotation), line.value, names, environment)
    if tagged[0] + 1 < len(cells):
        yield from _settings(_lines(cells[tagged[0] + 1]), names)


def _lines(cell: Mapping[str, Any]) -> list[ast.stmt]:
    with suppress(SyntaxError):  # `%matplotlib` and the like
        return ast.parse("".join(cell["source"])).body
    return []


def _read(
    name: str, kind: str, value: ast.expr, names: dict[str, Any], environment: Mapping[str, str]
) -> Iterator[str]:
    """Put into `names` what the notebook would read, its own default where it could not read what there is."""
    variable = name.upper()
    text = environment.get(variable, "")
    if kind == "bool" and text and text.lower() not in WORDS:
        yield f"{variable} is {text!r}: give true or false"
        environment = {}
    try:
        names[name] = _evaluated(value, _reading(environment))
        if isinstance(names[name], float) and not math.isfinite(names[name]):
            raise ValueError(f"{text} is no number to measure with")
    except ValueError:
        yield f"{variable} is {text!r}, which is no {KINDS.get(kind, kind)}"
        names[name] = _evaluated(value, _reading({}))


def _reading(environment: Mapping[str, str]) -> dict[str, Any]:
    return {"os": SimpleNamespace(getenv=lambda name, default="": environment.get(name, default), environ=environment)}


def _settings(lines: list[ast.stmt], names: dict[str, Any]) -> Iterator[str]:
    """Make the stage's settings as the notebook would, and yield every field that they refuse."""
    for line in lines:
        if isinstance(line, ast.ImportFrom) and (line.module or "").partition(".")[0] == "helpers":
            exec(compile(ast.Module([line], []), "<notebook>", "exec"), names)  # a stage of our own
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Call):
            with suppress(NameError, AttributeError):  # made of something that only the run has
                maker = _evaluated(line.value.func, names)
                if isinstance(maker, type) and issubclass(maker, Settings):
                    yield from _refused(line.value, names)


def _refused(call: ast.Call, names: dict[str, Any]) -> Iterator[str]:
    from pydantic import ValidationError

    try:
        _evaluated(call, names)
    except InvalidParameter as error:
        if not isinstance(error.__cause__, ValidationError):
            yield error.what
            return
        for item in error.__cause__.errors():
            name = ".".join(str(part) for part in item["loc"]).upper()
            said = item["msg"].removeprefix("Value error, ")
            yield f"{name} is {item['input']!r}: {said}" if name else said


def _evaluated(expression: ast.expr, names: dict[str, Any]) -> Any:
    return eval(compile(ast.Expression(expression), "<notebook>", "eval"), dict(names))
