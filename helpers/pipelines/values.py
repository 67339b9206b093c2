"""A pipeline's values, held against the rules of the stages that will read them, before anything starts.

The rules stand in one place, the notebooks: the types in their `parameters` cell, and the settings that the cell after
it makes of them.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

from helpers.errors import AssayError, Forbidden, InvalidInput, InvalidParameter, StoreFailed, StoreUnreachable
from helpers.pipelines.asked import faults as criteria_faults
from helpers.pipelines.data import Data, gather
from helpers.pipelines.definition import Pipeline
from helpers.pipelines.outputs import Node
from helpers.pipelines.outputs import faults as output_faults
from helpers.runtime.parameters import AUTO, UNSAFE, Settings

WORDS = ("true", "1", "false", "0")  # what the notebooks read as a bool
LOGIN = re.compile(r"(?i)\b(https?|s3|oci)://([^/\s]*@|\S*[?&][\w-]*(key|token|secret|password|signature)=)")
S = TypeVar("S", bound=Settings)
KINDS = {"int": "whole number", "float": "number"}


def assigned(words: Iterable[str]) -> dict[str, str]:
    """Return what `NAME=value` words say. Raises InvalidParameter for any other word."""
    pairs = [word.partition("=") for word in words]
    if wrong := [name for name, sign, _ in pairs if not sign]:
        raise InvalidParameter(f"{', '.join(wrong)} gives no parameter a value", do="Write NAME=value")
    return {name: value for name, _, value in pairs}


def check_values(
    pipeline: Pipeline, given: Mapping[str, str], further: Collection[str] = (), more: Iterable[str] = ()
) -> Data:
    """Refuse unknown names, values that a stage would refuse, and data that cannot be read; all at once.

    `further` are names beside the pipeline's parameters that its stages read on this machine, `more` are faults that
    are known already. Returns the data. Raises InvalidParameter.
    """
    faults = [*more, *(_no_source(given) if further else ())]
    data = gather(pipeline.parameters | dict(given), faults, lambda data: _faults(pipeline, data.of(given), further))
    _refuse(faults)
    return data


def check_stages(stages: Iterable[Node], given: Mapping[str, str]) -> Data:
    """Refuse what notebooks would refuse in their environment variables, and data that cannot be read; all at once.

    `given` are the pipeline's parameters with their values. Returns the data. Raises InvalidParameter.
    """
    broken = {name: fault for name, value in given.items() if value and (fault := _not_carried(name, value))}
    faults = [*broken.values(), *_no_source(given)]
    nodes = list(stages)
    whole = {name: value for name, value in given.items() if name not in broken}

    def told(data: Data) -> Iterator[str]:
        refused = given.keys() - data.values.keys()  # told with the data
        here = []
        for node in nodes:
            own = {name: value for name, value in node.environment.items() if name not in refused}
            own |= {name: data.values[name] for name in data.renamed & own.keys()}
            here.append(node._replace(environment=own))
        yield from _faults_of(here)

    data = gather(whole, faults, told)
    _refuse(faults)
    return data


def _no_source(given: Mapping[str, str]) -> Iterator[str]:
    """Yield that SOURCE names no folder or archive of this machine, where it names one."""
    source = given.get("SOURCE", "")
    with suppress(OSError):  # a name that is too long
        if not source or "://" in source or Path(source).expanduser().exists():
            return
    yield f"SOURCE is {source!r}: there is no such folder or archive"


def stage_settings(pipeline: Pipeline, values: Mapping[str, str], kind: type[S]) -> Iterator[tuple[str, S]]:
    """Yield each node's name of its own (NAME) with the settings of this kind that its notebook would make."""
    for node in pipeline.nodes:
        own = {item["env_var"]: item["value"] for item in node["env_vars"]}
        unlisted = pipeline.parameters.keys() - node["pipeline_parameters"]
        here = Node(_notebook(pipeline, node), {n: v for n, v in values.items() if n not in unlisted} | own, ())
        yield from ((here.name, each) for each in _made(here) if isinstance(each, kind))


def _made(node: Node) -> Iterator[Settings]:
    """Yield the settings that a node's notebook would make, without those that it would refuse."""
    names: dict[str, Any] = {}
    cells = _cells(node.notebook)
    for name, kind, value in _parameters(cells):
        list(_read(name, kind, value, names, node.environment))
    for call, _ in (made for lines in cells[1:] for made in _makers(lines, names)):
        try:
            yield _evaluated(call, names)
        except (StoreFailed, StoreUnreachable, Forbidden):
            raise
        except (AssayError, NameError, AttributeError):  # told already, or made of something that only the run has
            continue


def _refuse(faults: Iterable[str]) -> None:
    if found := list(dict.fromkeys(faults)):
        raise InvalidParameter("; ".join(found), do="Correct what is named; nothing has been started")


def stage_variables(pipeline: Pipeline) -> set[str]:
    """Return what the stages read from the environment on one machine beside the pipeline's parameters."""
    found: set[str] = set()
    for node in pipeline.nodes:
        read = {name.upper() for name, _, _ in _parameters(_cells(_notebook(pipeline, node)))}
        found |= read - {item["env_var"] for item in node["env_vars"]}
    return found - set(pipeline.parameters)


def _faults(pipeline: Pipeline, given: Mapping[str, str], further: Collection[str]) -> Iterator[str]:
    try:
        pipeline.known({name: value for name, value in given.items() if name not in further})
    except InvalidParameter as error:
        yield f"{error.what} ({error.do})"
    refused = {name: fault for name, value in given.items() if (fault := _not_carried(name, value))}
    yield from refused.values()
    values = pipeline.parameters | {name: value for name, value in given.items() if name not in refused}
    nodes = []
    for node in pipeline.nodes:
        taken = {name: values[name] for name in (*node["pipeline_parameters"], *further) if name in values}
        own = {item["env_var"]: item["value"] for item in node["env_vars"]}
        nodes.append(Node(_notebook(pipeline, node), taken | own, node["outputs"]))
    yield from _faults_of(nodes)


def _faults_of(nodes: Sequence[Node]) -> Iterator[str]:
    for node in nodes:
        yield from _stage_faults(_cells(node.notebook), node.environment)
    yield from output_faults(nodes)
    yield from criteria_faults(nodes, _made)


def _notebook(pipeline: Pipeline, node: Mapping[str, Any]) -> Path:
    return (pipeline.file.parent / node["filename"]).resolve()


def _not_carried(name: str, value: str) -> str:
    """Return why a value does not reach a pod as it is, "" where it does."""
    if not value:  # Elyra compiles an empty default to none, and the pod's shell then sees the placeholder
        return f"{name} is empty: leave it out"
    if LOGIN.search(value):  # not echoed: what is compiled and what runs keeps its values, and everybody reads them
        return f"{name} holds a login or a key, which belongs in a Secret: give the address alone"
    if found := UNSAFE.search(value):
        return f"{name} holds the character {found.group()!r}, which does not travel through a shell"
    return ""


def _cells(notebook: Path) -> list[list[ast.stmt]]:
    """Return the statements of the cell with the parameters and of the cell after it, which makes settings of them."""
    cells = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    tagged = [number for number, cell in enumerate(cells) if "parameters" in cell["metadata"].get("tags", ())]
    return [_lines(cell) for cell in cells[tagged[0] : tagged[0] + 2]] if tagged else []


def _parameters(cells: list[list[ast.stmt]]) -> Iterator[tuple[str, str, ast.expr]]:
    """Yield each parameter's name, type and value."""
    for line in cells[0] if cells else ():
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.value:
            yield line.target.id, ast.unparse(line.annotation), line.value


def _stage_faults(cells: list[list[ast.stmt]], environment: Mapping[str, str]) -> Iterator[str]:
    """Yield what a stage would refuse in its environment variables."""
    names: dict[str, Any] = {}
    for name, kind, value in _parameters(cells):
        yield from _read(name, kind, value, names, environment)
    for lines in cells[1:]:
        yield from _settings(lines, names)


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
    for call, _ in _makers(lines, names):
        with suppress(NameError, AttributeError):  # made of something that only the run has
            yield from _refused(call, names)


def _makers(lines: list[ast.stmt], names: dict[str, Any]) -> Iterator[tuple[ast.Call, type[Settings]]]:
    """Yield each call that makes settings, with their class, once the notebook's own imports are in `names`."""
    for line in lines:
        if isinstance(line, ast.ImportFrom) and (line.module or "").partition(".")[0] == "helpers":
            exec(compile(ast.Module([line], []), "<notebook>", "exec"), names)  # a stage of our own
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Call):
            with suppress(NameError, AttributeError):  # made of something that only the run has
                maker = _evaluated(line.value.func, names)
                if isinstance(maker, type) and issubclass(maker, Settings):
                    yield line.value, maker


def _refused(call: ast.Call, names: dict[str, Any]) -> Iterator[str]:
    from pydantic import ValidationError

    try:
        _evaluated(call, names)
    except InvalidInput as error:
        if not isinstance(error.__cause__, ValidationError):
            yield error.what
            if given := [item for item in call.keywords if item.arg is None and isinstance(item.value, ast.Call)]:
                yield from _refused(_by_values_alone(call, given, names), names)
            return
        for item in error.__cause__.errors():
            name = ".".join(str(part) for part in item["loc"]).upper()
            said = item["msg"].removeprefix("Value error, ")
            yield f"{name} is {item['input']!r}: {said}" if name else said
    except AssayError:  # what could not be fetched, which is told with the data
        return


def _by_values_alone(call: ast.Call, calls: list[ast.keyword], names: dict[str, Any]) -> ast.Call:
    """Return the call with what is given in place of what a use case, which is wrong or missing, would have said."""
    given = [item for each in calls if isinstance(each.value, ast.Call) for item in each.value.keywords]
    own = [item for item in given if _evaluated(item.value, names) not in (AUTO, "")]
    alone = ast.Call(call.func, call.args, [*(item for item in call.keywords if item not in calls), *own])
    return ast.copy_location(alone, call)


def _evaluated(expression: ast.expr, names: dict[str, Any]) -> Any:
    return eval(compile(ast.Expression(expression), "<notebook>", "eval"), dict(names))
