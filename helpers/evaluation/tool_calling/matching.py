"""Whether calls are the expected ones, by the rules of BFCL's AST checker.

Expected is one {name: {argument: [allowed values]}} for each call; "" among the values: the argument may be absent.
Strings are compared without case, blanks and the marks , . / - _ * ^; an integer is a number; parallel calls have no
order. A value may also have the type of its first allowed value, whatever the function says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

Call = tuple[str, dict[str, Any]]  # name and arguments
Allowed = Mapping[str, Sequence[Any]]  # values by argument
PYTHON = {"string": str, "integer": int, "number": float, "boolean": bool, "array": list, "object": dict}
IGNORED = re.compile(r"[ ,./\-_*^]")
ABSENT = ""  # among the allowed values: the argument may be absent


class Error(StrEnum):
    """What is wrong with the calls of one answer; the first that is found counts."""

    NO_CALL = "no call"
    IN_TEXT = "call as text"  # the server's parser reads another form than the model writes
    NOT_WANTED = "called without need"
    NO_JSON = "arguments no JSON"
    COUNT = "number of calls"
    NAME = "function"
    MISSING = "argument missing"
    UNEXPECTED = "argument unexpected"
    TYPE = "type"
    VALUE = "value"


class Wrong(NamedTuple):
    """An error, and where it is."""

    error: Error
    what: str


def check(
    functions: Mapping[str, Mapping[str, Any]], calls: Sequence[Call], expected: Sequence[Mapping[str, Allowed]]
) -> Wrong | None:
    """Return the first fault, None where all calls are right; `functions` are the parameters' schemas by name."""
    if len(calls) != len(expected):
        return Wrong(Error.COUNT if calls else Error.NO_CALL, f"{len(calls)} calls, {len(expected)} expected")
    left = list(calls)
    for wanted in expected:
        [(name, allowed)] = wanted.items()
        faults = [_call(name, allowed, functions[name], call) for call in left]
        if None not in faults:
            return next((fault for fault in faults if fault and fault.error != Error.NAME), faults[0])
        del left[faults.index(None)]
    return None


def _call(name: str, allowed: Allowed, schema: Mapping[str, Any], call: Call) -> Wrong | None:
    called, arguments = call
    if called != name:
        return Wrong(Error.NAME, f"{called}, not {name}")
    known = schema.get("properties", {})
    if missing := [each for each in schema.get("required", ()) if each not in arguments]:
        return Wrong(Error.MISSING, missing[0])
    for argument, value in arguments.items():
        if argument not in known or argument not in allowed:
            return Wrong(Error.UNEXPECTED, argument)
        if error := _value(known[argument], value, allowed[argument]):
            return Wrong(error, f"{argument}: {value!r}")
    absent = [each for each, values in allowed.items() if each not in arguments and ABSENT not in values]
    return Wrong(Error.MISSING, absent[0]) if absent else None


def _value(schema: Mapping[str, Any], value: Any, allowed: Sequence[Any]) -> Error | None:
    wanted = _type(schema)
    if wanted is float and type(value) is int:
        value = float(value)
    other = _kind(allowed)  # of the answers, where they have another type than the function says
    if type(value) is not wanted and type(value) is not other:
        return Error.TYPE
    if other is not None and other is not wanted:
        return None if value in allowed else Error.VALUE
    if isinstance(value, list) and not _items(schema, value, allowed):
        return Error.TYPE
    return None if any(_same(value, each) for each in allowed) else Error.VALUE


def _items(schema: Mapping[str, Any], value: Sequence[Any], allowed: Sequence[Any]) -> bool:
    """Return whether all items have the type that the function says, or that of one allowed list's first item."""
    wanted = _type(schema.get("items") or {})
    lists = [each for each in allowed if isinstance(each, list)]
    return any(all(type(item) in (wanted, _kind(each)) for item in value) for each in lists)


def _type(schema: Mapping[str, Any]) -> type:
    kind = schema.get("type")
    return PYTHON.get(kind[0] if isinstance(kind, list) and kind else str(kind), str)


def _kind(values: Sequence[Any]) -> type | None:
    return next((type(value) for value in values if value != ABSENT), None)


def _same(value: Any, allowed: Any) -> bool:
    """Compare; an allowed object has a list of allowed values for each key, and no item is as good as none given."""
    if value == [] and allowed == ABSENT:
        return True
    if isinstance(value, str) and isinstance(allowed, str):
        return _plain(value) == _plain(allowed)
    if isinstance(value, list) and isinstance(allowed, list):
        return len(value) == len(allowed) and all(map(_same, value, allowed))
    if isinstance(value, dict) and isinstance(allowed, dict):
        return _object(value, allowed)
    return bool(value == allowed)


def _object(value: Mapping[str, Any], allowed: Mapping[str, Any]) -> bool:
    choices = {key: each if isinstance(each, list) else [each] for key, each in allowed.items()}
    known = all(key in choices and any(_same(item, each) for each in choices[key]) for key, item in value.items())
    return known and all(key in value or ABSENT in each for key, each in choices.items())


def _plain(text: str) -> str:
    return IGNORED.sub("", text).lower().replace("'", '"')
