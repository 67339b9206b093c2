"""`filterQuery`: a small SQL-like language, parsed by a grammar and turned into SQL with bound values only."""

from __future__ import annotations

import re
from functools import lru_cache

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import LarkError, VisitError

from helpers.local.registry.conditions import CUSTOM, Condition, Property, Value, join
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

    def int(self, token: Token) -> int | float:
        """Return a whole number, as a float where SQLite's 64 bits do not hold it."""
        number = int(token)
        return number if abs(number) < 2**63 else float(number)

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
