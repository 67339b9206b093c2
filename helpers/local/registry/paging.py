"""Query parameters of lists: page size, order, cursor; everything else in a query is a 400."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass

from helpers.local.registry.conditions import Condition
from helpers.local.registry.errors import bad_request
from helpers.local.registry.store import Row

ORDERS = {"ID": ("id", 0), "CREATE_TIME": ("created", 5), "LAST_UPDATE_TIME": ("updated", 6)}
INT32_MAX = 2**31 - 1


def parse_id(text: str, what: str = "id") -> int:
    """Return an int32 id; raises 400."""
    if not re.fullmatch(r"[+-]?[0-9]{1,10}", text) or not -INT32_MAX <= int(text) <= INT32_MAX:
        raise bad_request(f"invalid {what}: {text!r} is not an int32")
    return int(text)


@dataclass(frozen=True)
class Page:
    """One page that a client asks for; size 0 means everything."""

    size: int
    column: str
    index: int
    descending: bool
    after: tuple[int, int] | None

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Page:
        """Read pageSize, orderBy, sortOrder and nextPageToken; raises 400."""
        size = parse_id(query.get("pageSize") or "0", "pageSize")
        order, direction = query.get("orderBy") or "ID", query.get("sortOrder") or "ASC"
        if size < 0 or order not in ORDERS or direction not in ("ASC", "DESC"):
            raise bad_request(f"invalid pageSize {size}, orderBy {order!r} or sortOrder {direction!r}")
        column, index = ORDERS[order]
        return cls(size, column, index, direction == "DESC", _read_token(query.get("nextPageToken") or ""))

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
        raise bad_request("invalid nextPageToken") from error
    if max(map(abs, after)) >= 2**63:
        raise bad_request("invalid nextPageToken")
    return after
