"""The registry's tables: one SQLite file in WAL mode, each acknowledged write synced to the disk."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

from helpers.local.registry.bodies import ApiError, Resource, fold, plain, too_long

# Ids of models and versions come from one sequence, those of artifacts from another, as in the real server. The unique
# indexes are those of version 1, so that its databases open; `_refuse_taken` asks for more: case does not count.
TABLE = """
CREATE TABLE IF NOT EXISTS {name} (
  id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, parent INTEGER REFERENCES context(id), name TEXT NOT NULL,
  external_id TEXT UNIQUE, created INTEGER NOT NULL, updated INTEGER NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS {name}_root_name ON {name}(kind, name) WHERE parent IS NULL AND kind = 'model';
CREATE UNIQUE INDEX IF NOT EXISTS {name}_name ON {name}(parent, kind, name);
DROP INDEX IF EXISTS {name}_named;
CREATE INDEX IF NOT EXISTS {name}_named_in ON {name}(kind, name COLLATE folded, parent);
CREATE INDEX IF NOT EXISTS {name}_external ON {name}(external_id COLLATE folded);
CREATE INDEX IF NOT EXISTS {name}_updated ON {name}(kind, updated, id);
CREATE INDEX IF NOT EXISTS {name}_last ON {name}(updated);
"""
SCHEMA = f"BEGIN;{TABLE.format(name='context')}{TABLE.format(name='artifact')}COMMIT;"
COLUMNS = "id, kind, parent, name, external_id, created, updated, body"


class Row(NamedTuple):
    """A row of either table."""

    id: int
    kind: str
    parent: int | None
    name: str
    external_id: str | None
    created: int
    updated: int
    body: str


class Condition(NamedTuple):
    """A piece of SQL from this package, and the values bound to its question marks: all that users write is bound."""

    sql: str
    values: tuple[str | int | None, ...] = ()


class Store:
    """Rows of the two tables. One connection under one lock: SQLite writes one at a time anyway."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        # The real server takes versions of models that do not exist: hence no foreign keys.
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = OFF"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.create_collation("folded", _collate)
        self._connection.executescript(SCHEMA)

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside are kept together or not at all; the disk has them when this ends."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def insert(self, resource: Resource, body: dict[str, Any], parent: int | None = None) -> int:
        """Add a row and return its id; raises 409 where name or external id is taken, 500 where the name is too long.

        An artifact without a name gets one. Names stand behind the parent's id in MySQL's 255 characters.
        """
        fields = dict(body)
        name, external_id = fields.pop("name", None), fields.pop("externalId", None)
        if name is None:
            name = str(uuid.uuid4())
        if (0 if parent is None else len(f"{parent}:")) + len(name) > 255:
            raise too_long("name")
        name = name or str(parent)
        same = Condition("name = ? COLLATE folded AND parent IS ?", (name, parent))
        self._refuse_taken(resource, name, [of_kinds([resource.kind]), same])
        self._refuse_external(resource, name, external_id, 0)
        stamp = self._next_stamp()
        sql = f"INSERT INTO {resource.table} ({COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)"
        values = (resource.kind, parent, name, external_id, stamp, stamp, json.dumps(fields))
        return self._connection.execute(sql, values).lastrowid or 0

    def update(self, resource: Resource, row: Row, body: dict[str, Any]) -> None:
        """Replace the fields that are present and keep the rest, and the name; raises 409 for an external id taken."""
        fields = {**json.loads(row.body), **body}
        external_id = fields.pop("externalId", row.external_id)
        self._refuse_external(resource, row.name, external_id, row.id)
        sql = f"UPDATE {resource.table} SET external_id = ?, updated = ?, body = ? WHERE id = ?"
        self._connection.execute(sql, (external_id, self._next_stamp(), json.dumps(fields), row.id))

    def get(self, resource: Resource, key: int) -> Row:
        """Return one row; raises 404."""
        rows = self.select(resource.table, [of_kinds([resource.kind]), Condition("id = ?", (key,))])
        if not rows:
            raise ApiError(HTTPStatus.NOT_FOUND, f"no {resource.label} found for id {key}: not found")
        return rows[0]

    def select(self, table: str, conditions: Sequence[Condition], order: str = "id", limit: int = -1) -> list[Row]:
        """Return the rows that meet all conditions; a negative limit means all."""
        where = " AND ".join(part.sql for part in conditions)
        values = [value for part in conditions for value in part.values]
        sql = f"SELECT {COLUMNS} FROM {table} WHERE {where} ORDER BY {order} LIMIT ?"
        with self._lock:
            return [Row(*row) for row in self._connection.execute(sql, (*values, limit))]

    def _refuse_taken(self, resource: Resource, name: str, same: list[Condition]) -> None:
        if self.select(resource.table, same, limit=1):
            raise ApiError(HTTPStatus.CONFLICT, f"{resource.label} with name {name} already exists: conflict")

    def _refuse_external(self, resource: Resource, name: str, external_id: str | None, own: int) -> None:
        if external_id is not None:
            taken = Condition("external_id = ? COLLATE folded AND id != ?", (external_id, own))
            self._refuse_taken(resource, name, [taken])

    def _next_stamp(self) -> int:
        # Strictly growing within a millisecond, across restarts and when the clock is set back.
        sql = "SELECT max(updated) FROM context UNION ALL SELECT max(updated) FROM artifact"
        last = max(stamp or 0 for (stamp,) in self._connection.execute(sql))
        return max(time.time_ns() // 1_000_000, last + 1)


def _collate(left: str, right: str) -> int:
    """Compare two texts without case and accents: -1, 0 or 1."""
    first, second = fold(left), fold(right)
    return (first > second) - (first < second)


def of_kinds(kinds: Sequence[str]) -> Condition:
    """Return the condition that a row is of one of these kinds."""
    return Condition(f"kind IN ({', '.join('?' * len(kinds))})", tuple(kinds))


def render(row: Row) -> dict[str, Any]:
    """Return a row as the JSON object that clients read."""
    shown = {"customProperties": {}, **json.loads(row.body), "id": str(row.id), "name": row.name}
    shown["customProperties"] = plain(shown["customProperties"])
    shown |= {"createTimeSinceEpoch": str(row.created), "lastUpdateTimeSinceEpoch": str(row.updated)}
    if row.external_id is not None:
        shown["externalId"] = row.external_id
    if row.kind == "version":
        shown["registeredModelId"] = str(row.parent)
    elif row.kind != "model":
        shown["artifactType"] = row.kind
    return shown
