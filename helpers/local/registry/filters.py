"""`filterQuery`: a small SQL-like language, parsed by a grammar and turned into SQL with bound values only."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import LarkError, VisitError

from helpers.local.registry.errors import ApiError, bad_request

GRAMMAR = r"""
?start: either
?either: both (_OR both)*
?both: atom (_AND atom)*
?atom: "(" either ")" -> group | comparison
comparison: property OPERATOR value        -> compare
          | property MATCH value           -> match
          | property _IN "(" value ("," value)* ")" -> one_of
property: NAME | ESCAPED TYPE?
value: STRING -> string | FLOAT -> float | INT -> int | BOOL -> bool
OPERATOR: "=" | "!=" | "<>" | ">=" | "<=" | ">" | "<"
MATCH.2: /(LIKE|ILIKE)\b/i
_IN.2: /IN\b/i
_AND.2: /AND\b/i
_OR.2: /OR\b/i
BOOL.2: /(true|false)\b/i
NAME: /[A-Za-z_][A-Za-z0-9_.-]*/
ESCAPED: /`[^`]+`/
TYPE: /\.(string|int|double|bool)_value/
STRING: /'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"/
FLOAT.1: /[+-]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][+-]?\d+)?/
INT: /[+-]?\d+/
%import common.WS
%ignore WS
"""
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


@v_args(inline=True)
class ToSql(Transformer[Token, Condition]):
    """Turns the parsed filter into one condition, leaves first."""

    def property(self, name: Token, kind: Token | None = None) -> Property:
        """Split a type suffix off a plain name; a name in backticks is taken as it is."""
        if name.type == "ESCAPED":
            return Property(str(name)[1:-1], str(kind)[1:] if kind else None)
        head, _, tail = str(name).rpartition(".")
        return Property(head, tail) if head and tail in CUSTOM else Property(str(name), None)

    def string(self, token: Token) -> str:
        """Unquote; a quote inside is doubled or has a backslash before it."""
        quote = token[0]
        return re.sub(r"\\(['\"\\])", r"\1", token[1:-1].replace(quote * 2, quote))

    def int(self, token: Token) -> int:
        """Return a whole number."""
        return int(token)

    def float(self, token: Token) -> float:
        """Return a number."""
        return float(token)

    def bool(self, token: Token) -> bool:
        """Return a truth value."""
        return token.lower() == "true"

    def compare(self, prop: Property, operator: Token, value: Value) -> Condition:
        """`property = value` and the like; the operator is one of the grammar's own."""
        return prop.test(f"{{}} {operator} ?", (value,))

    def match(self, prop: Property, operator: Token, value: Value) -> Condition:
        """`property LIKE pattern`, or ILIKE to ignore case."""
        if not isinstance(value, str):
            raise bad_request(f"invalid filter query: {operator} needs a string")
        return prop.test(f"{operator.lower()}_match({{}}, ?)", (value,))

    def one_of(self, prop: Property, *values: Value) -> Condition:
        """`property IN (value, …)`."""
        return prop.test(f"{{}} IN ({', '.join('?' * len(values))})", values)

    def group(self, inner: Condition) -> Condition:
        """Keep the parentheses."""
        return inner

    def either(self, *parts: Condition) -> Condition:
        """Join by OR."""
        return join("OR", parts)

    def both(self, *parts: Condition) -> Condition:
        """Join by AND."""
        return join("AND", parts)


def join(word: str, parts: tuple[Condition, ...] | list[Condition]) -> Condition:
    """Return the parts joined by AND or OR, in parentheses."""
    sql = f" {word} ".join(part.sql for part in parts)
    return Condition(f"({sql})", tuple(value for part in parts for value in part.values))


@lru_cache(maxsize=1)
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr")


def parse_filter(query: str) -> Condition:
    """Return the SQL condition of a filter query; raises the 400 error where it does not parse."""
    try:
        return ToSql().transform(_parser().parse(query))
    except VisitError as error:
        if isinstance(error.orig_exc, ApiError):
            raise error.orig_exc from error
        raise bad_request(f"invalid filter query: {error.orig_exc}") from error
    except (LarkError, RecursionError) as error:
        raise bad_request(f"invalid filter query: {str(error).splitlines()[0]}") from error


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
