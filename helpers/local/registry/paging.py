"""Query parameters of lists: page size, order, cursor. An order that is not known is the order of ids."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from helpers.local.registry.errors import bad_request
from helpers.local.registry.store import Condition, Row

ORDERS = {"ID": ("id", 0), "CREATE_TIME": ("created", 5), "LAST_UPDATE_TIME": ("updated", 6)}
INT32 = range(-(2**31), 2**31)


def parse_id(text: str, what: str = "invalid numeric string") -> int:
    """Return an int32; raises 400."""
    number = int(text) if re.fullmatch(r"[+-]?0*[0-9]{1,19}", text) else None
    if number is None or number not in INT32:
        reason = "invalid syntax" if number is None else "value out of range"
        raise bad_request(f"{what}: strconv.ParseInt: parsing {json.dumps(text)}: {reason}: bad request")
    return number


@dataclass(frozen=True)
class Page:
    """One page that a client asks for; a size of 0 or less means everything."""

    size: int
    column: str
    index: int
    descending: bool
    after: tuple[int, int] | None

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Page:
        """Read pageSize, orderBy, sortOrder and nextPageToken; raises 400 for a size or a token that is none."""
        size = parse_id(query.get("pageSize") or "0")
        column, index = ORDERS.get(query.get("orderBy", ""), ORDERS["ID"])
        return cls(size, column, index, query.get("sortOrder") == "DESC", _read_token(query.get("nextPageToken") or ""))

    @property
    def limit(self) -> int:
        """How many rows to read: one more than the page has shows whether there is a next one; -1 is all."""
        return self.size + 1 if self.size > 0 else -1

    @property
    def order(self) -> str:
        """What to sort by; the id breaks ties."""
        word = "DESC" if self.descending else "ASC"
        return f"{self.column} {word}, id {word}"

    def conditions(self) -> list[Condition]:
        """Return the condition that skips the earlier pages."""
        if self.after is None:
            return []
        return [Condition(f"({self.column}, id) {'<' if self.descending else '>'} (?, ?)", self.after)]

    def token(self, row: Row) -> str:
        """Return the token for what follows `row`; it depends on nothing else, which the client's pager relies on."""
        return base64.b64encode(f"{row[0]}:{row[self.index]}".encode()).decode()


def _read_token(token: str) -> tuple[int, int] | None:
    if not token:
        return None
    try:
        key, value = base64.b64decode(token, validate=True).decode("ascii").split(":")
        after = int(value), int(key)
    except (binascii.Error, ValueError) as error:
        raise bad_request("invalid nextPageToken: bad request") from error
    if max(map(abs, after)) >= 2**63:
        raise bad_request("invalid nextPageToken: bad request")
    return after
