"""Pieces of SQL with their values: the text comes from this module alone, everything that users write is bound."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from helpers.local.registry.errors import bad_request

NUMBERS = {"id": "id", "createTimeSinceEpoch": "created", "lastUpdateTimeSinceEpoch": "updated"}
TEXTS = {"name": "name", "externalId": "external_id", "artifactType": "kind"}
BODY_TEXTS = (
    "description", "state", "owner", "author", "uri", "modelFormatName", "modelFormatVersion",
    "storageKey", "storagePath", "serviceAccountName", "modelSourceKind", "modelSourceClass", "modelSourceGroup",
    "modelSourceId", "modelSourceName",
)  # fmt: skip
TEXTS |= {name: f"json_extract(body, '$.{name}')" for name in BODY_TEXTS}
CUSTOM = {
    "string_value": "json_extract(p.value, '$.string_value')",
    "double_value": "json_extract(p.value, '$.double_value')",
    "int_value": "CAST(json_extract(p.value, '$.int_value') AS INTEGER)",
    "bool_value": "json_extract(p.value, '$.bool_value')",
}
NUMBER = f"coalesce({CUSTOM['double_value']}, {CUSTOM['int_value']})"
Value = str | int | float


@dataclass(frozen=True)
class Condition:
    """A piece of SQL and the values bound to its question marks."""

    sql: str
    values: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Property:
    """A name in a filter, and the value type where the filter names one."""

    name: str
    type: str | None

    def test(self, test: str, values: tuple[Value, ...]) -> Condition:
        """Return the condition `test`, in which `{}` stands for this property's expression."""
        if self.type is None and self.name in NUMBERS:
            return Condition(test.format(NUMBERS[self.name]), tuple(_number(value) for value in values))
        if self.type is None and self.name == "registeredModelId":
            return Condition(test.format("parent"), tuple(_number(value) for value in values))
        if self.type is None and self.name in TEXTS:
            return Condition(test.format(TEXTS[self.name]), tuple(str(value) for value in values))
        # The property's name is bound like a value: it comes from the user too.
        sql = "EXISTS (SELECT 1 FROM json_each(body, '$.customProperties') p WHERE p.key = ? AND {})"
        return Condition(sql.format(test.format(self._expression(values))), (self.name, *values))

    def _expression(self, values: tuple[Value, ...]) -> str:
        if self.type:
            return CUSTOM[self.type]
        if isinstance(values[0], bool):
            return CUSTOM["bool_value"]
        return CUSTOM["string_value"] if isinstance(values[0], str) else NUMBER


def _number(value: Value) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise bad_request(f"invalid filter query: {value!r} is not a number") from error


def join(word: str, parts: tuple[Condition, ...] | list[Condition]) -> Condition:
    """Return the parts joined by AND or OR, in parentheses."""
    sql = f" {word} ".join(part.sql for part in parts)
    return Condition(f"({sql})", tuple(value for part in parts for value in part.values))


def like_function(flags: int) -> Callable[[Any, str], bool]:
    """Return SQL's LIKE as a function of value and pattern; a backslash takes `%` and `_` literally."""

    @lru_cache(maxsize=64)
    def compiled(pattern: str) -> re.Pattern[str]:
        parts = re.findall(r"\\.|.", pattern, re.DOTALL)
        wild = {"%": ".*", "_": "."}
        return re.compile("".join(wild.get(part) or re.escape(part[-1]) for part in parts), re.DOTALL | flags)

    def matches(value: Any, pattern: str) -> bool:
        return value is not None and compiled(pattern).fullmatch(str(value)) is not None

    return matches
