"""The registry's tables: one SQLite file in WAL mode, each acknowledged write synced to the disk."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from helpers.local.registry.conditions import Condition, join, like_function
from helpers.local.registry.errors import conflict, not_found
from helpers.local.registry.resources import Resource

# Ids of models and versions come from one sequence, those of artifacts from another, as in the real server.
TABLE = """
CREATE TABLE IF NOT EXISTS {name} (
  id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, parent INTEGER REFERENCES context(id), name TEXT NOT NULL,
  external_id TEXT UNIQUE, created INTEGER NOT NULL, updated INTEGER NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS {name}_root_name ON {name}(kind, name) WHERE parent IS NULL AND kind = 'model';
CREATE UNIQUE INDEX IF NOT EXISTS {name}_name ON {name}(parent, kind, name);
CREATE INDEX IF NOT EXISTS {name}_find ON {name}(kind, name);
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
OF_VERSION = "id IN (SELECT artifact FROM attribution WHERE version = ?)"
Row = tuple[int, str, int | None, str, str | None, int, int, str]


class Store:
    """Rows of the two tables. One connection under one lock: SQLite writes one at a time anyway."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(SCHEMA)
        self._connection.create_function("like_match", 2, like_function(re.NOFLAG), deterministic=True)
        self._connection.create_function("ilike_match", 2, like_function(re.IGNORECASE), deterministic=True)

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
        """Add a row and return its id; raises 409 where name or external id is taken."""
        fields = {"state": resource.default_state, **body}
        name, external_id = fields.pop("name", "") or str(uuid.uuid4()), fields.pop("externalId", None)
        stamp = self._next_stamp()
        sql = f"INSERT INTO {resource.table} ({COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)"
        values = (resource.kind, parent, name, external_id, stamp, stamp, json.dumps(fields))
        return self._write(resource, sql, values).lastrowid or 0

    def update(self, resource: Resource, row: Row, body: dict[str, Any]) -> None:
        """Replace the fields that are present and keep the rest; without a state it goes back to the default one."""
        fields = {**json.loads(row[7]), "state": resource.default_state, **body}
        fields.pop("name", None)
        external_id = fields.pop("externalId", row[4])
        sql = f"UPDATE {resource.table} SET external_id = ?, updated = ?, body = ? WHERE id = ?"
        self._write(resource, sql, (external_id, self._next_stamp(), json.dumps(fields), row[0]))

    def attach(self, version: int, artifact: int) -> None:
        """Make the artifact one of the version's."""
        self._connection.execute("INSERT OR IGNORE INTO attribution VALUES (?, ?)", (version, artifact))

    def get(self, table: str, kinds: Sequence[str], key: int, label: str) -> Row:
        """Return one row; raises 404."""
        rows = self.select(table, [of_kinds(kinds), Condition("id = ?", (key,))])
        if not rows:
            raise not_found(f"no {label} found for id {key}")
        return rows[0]

    def select(self, table: str, conditions: list[Condition], order: str = "id", limit: int = -1) -> list[Row]:
        """Return the rows that meet all conditions; a negative limit means all."""
        where = join("AND", conditions)
        sql = f"SELECT {COLUMNS} FROM {table} WHERE {where.sql} ORDER BY {order} LIMIT ?"
        with self._lock:
            return self._connection.execute(sql, (*where.values, limit)).fetchall()

    def _write(self, resource: Resource, sql: str, values: tuple[Any, ...]) -> sqlite3.Cursor:
        try:
            return self._connection.execute(sql, values)
        except sqlite3.IntegrityError as error:
            raise conflict(f"a {resource.label} with this name or externalId already exists") from error

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
    return Condition(OF_VERSION, (version,))


def render(row: Row) -> dict[str, Any]:
    """Return a row as the JSON object that clients read."""
    key, kind, parent, name, external_id, created, updated, body = row
    shown = {**json.loads(body), "id": str(key), "name": name}
    shown |= {"createTimeSinceEpoch": str(created), "lastUpdateTimeSinceEpoch": str(updated)}
    if external_id is not None:
        shown["externalId"] = external_id
    if kind == "version":
        shown["registeredModelId"] = str(parent)
    elif kind != "model":
        shown["artifactType"] = kind
    return shown
