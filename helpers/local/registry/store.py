"""The registry's tables: one SQLite file in WAL mode, each acknowledged write synced to the disk."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.local.registry.errors import conflict, not_found, too_long
from helpers.local.registry.names import collate, is_pattern, like
from helpers.local.registry.properties import show_properties
from helpers.local.registry.resources import Resource

# Ids of models and versions come from one sequence, those of artifacts from another, as in the real server. The unique
# indexes are those of version 1, so that its databases open; `_refuse_taken` asks for more: case does not count.
TABLE = """
CREATE TABLE IF NOT EXISTS {name} (
  id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, parent INTEGER REFERENCES context(id), name TEXT NOT NULL,
  external_id TEXT UNIQUE, created INTEGER NOT NULL, updated INTEGER NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS {name}_root_name ON {name}(kind, name) WHERE parent IS NULL AND kind = 'model';
CREATE UNIQUE INDEX IF NOT EXISTS {name}_name ON {name}(parent, kind, name);
DROP INDEX IF EXISTS {name}_find;
CREATE INDEX IF NOT EXISTS {name}_named ON {name}(kind, name COLLATE folded);
CREATE INDEX IF NOT EXISTS {name}_external ON {name}(external_id COLLATE folded);
CREATE INDEX IF NOT EXISTS {name}_created ON {name}(kind, created, id);
CREATE INDEX IF NOT EXISTS {name}_updated ON {name}(kind, updated, id);
CREATE INDEX IF NOT EXISTS {name}_last ON {name}(updated);
"""
SCHEMA = (
    "BEGIN;"
    + TABLE.format(name="context")
    + TABLE.format(name="artifact")
    + """
CREATE TABLE IF NOT EXISTS attribution (
  version INTEGER NOT NULL REFERENCES context(id), artifact INTEGER NOT NULL REFERENCES artifact(id),
  PRIMARY KEY (version, artifact)) WITHOUT ROWID;
COMMIT;
"""
)
COLUMNS = "id, kind, parent, name, external_id, created, updated, body"
Row = tuple[int, str, int | None, str, str | None, int, int, str]


@dataclass(frozen=True)
class Condition:
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
        self._connection.create_collation("folded", collate)
        self._connection.create_function("like_folded", 2, like, deterministic=True)
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

        Without a name it gets one. Names stand behind the parent's id in MySQL's 255 characters, or behind a uuid.
        """
        fields = dict(body)
        name, external_id = fields.pop("name", None), fields.pop("externalId", None)
        if name is None or (not name and parent is None):
            name = str(uuid.uuid4())
        prefix = len(f"{parent}:") if parent is not None else 37 if resource.is_artifact else 0
        if prefix + len(name) > 255:
            raise too_long("name")
        name = name or str(parent)
        if parent is not None or not resource.is_artifact:  # artifacts of no version may share a name
            beside = Condition("parent IS ?", (parent,))
            self._refuse_taken(resource, name, [of_kinds([resource.kind]), named(name, exactly=True), beside])
        self._refuse_external(resource, name, external_id, 0)
        stamp = self._next_stamp()
        sql = f"INSERT INTO {resource.table} ({COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)"
        values = (resource.kind, parent, name, external_id, stamp, stamp, json.dumps(fields))
        return self._connection.execute(sql, values).lastrowid or 0

    def update(self, resource: Resource, row: Row, body: dict[str, Any]) -> None:
        """Replace the fields that are present and keep the rest, and the name; raises 409 for an external id taken."""
        fields = {**json.loads(row[7]), **body}
        fields.pop("name", None)
        external_id = fields.pop("externalId", row[4])
        self._refuse_external(resource, row[3], external_id, row[0])
        sql = f"UPDATE {resource.table} SET external_id = ?, updated = ?, body = ? WHERE id = ?"
        self._connection.execute(sql, (external_id, self._next_stamp(), json.dumps(fields), row[0]))

    def attach(self, version: int, artifact: int) -> None:
        """Make the artifact one of the version's."""
        self._connection.execute("INSERT OR IGNORE INTO attribution VALUES (?, ?)", (version, artifact))

    def get(self, table: str, kinds: Sequence[str], key: int, label: str) -> Row:
        """Return one row; raises 404."""
        rows = self.select(table, [of_kinds(kinds), Condition("id = ?", (key,))])
        if not rows:
            raise not_found(f"no {label} found for id {key}")
        return rows[0]

    def select(self, table: str, conditions: Sequence[Condition], order: str = "id", limit: int = -1) -> list[Row]:
        """Return the rows that meet all conditions; a negative limit means all."""
        where = " AND ".join(part.sql for part in conditions)
        values = [value for part in conditions for value in part.values]
        sql = f"SELECT {COLUMNS} FROM {table} WHERE {where} ORDER BY {order} LIMIT ?"
        with self._lock:
            return self._connection.execute(sql, (*values, limit)).fetchall()

    def _refuse_taken(self, resource: Resource, name: str, same: list[Condition]) -> None:
        if self.select(resource.table, same, limit=1):
            raise conflict(f"{resource.label} with name {name} already exists")

    def _refuse_external(self, resource: Resource, name: str, external_id: str | None, own: int) -> None:
        if external_id is not None:
            self._refuse_taken(resource, name, [external(external_id), Condition("id != ?", (own,))])

    def _next_stamp(self) -> int:
        # Strictly growing within a millisecond, across restarts and when the clock is set back.
        sql = "SELECT max(updated) FROM context UNION ALL SELECT max(updated) FROM artifact"
        last = max(stamp or 0 for (stamp,) in self._connection.execute(sql))
        return max(time.time_ns() // 1_000_000, last + 1)


def of_kinds(kinds: Sequence[str]) -> Condition:
    """Return the condition that a row is of one of these kinds."""
    return Condition(f"kind IN ({', '.join('?' * len(kinds))})", tuple(kinds))


def of_version(version: int) -> Condition:
    """Return the condition that an artifact is attached to the version."""
    return Condition("id IN (SELECT artifact FROM attribution WHERE version = ?)", (version,))


def named(name: str, *, exactly: bool = False) -> Condition:
    """Return the condition that a row has this name; a search reads it as LIKE does, unless exactly."""
    if exactly or not is_pattern(name):
        return Condition("name = ? COLLATE folded", (name,))
    return Condition("like_folded(name, ?)", (name,))


def external(external_id: str) -> Condition:
    """Return the condition that a row has this external id."""
    return Condition("external_id = ? COLLATE folded", (external_id,))


def render(row: Row) -> dict[str, Any]:
    """Return a row as the JSON object that clients read."""
    key, kind, parent, name, external_id, created, updated, body = row
    shown = {"customProperties": {}, **json.loads(body), "id": str(key), "name": name}
    shown["customProperties"] = show_properties(shown["customProperties"])
    shown |= {"createTimeSinceEpoch": str(created), "lastUpdateTimeSinceEpoch": str(updated)}
    if external_id is not None:
        shown["externalId"] = external_id
    if kind == "version":
        shown["registeredModelId"] = str(parent)
    elif kind != "model":
        shown["artifactType"] = kind
    return shown
