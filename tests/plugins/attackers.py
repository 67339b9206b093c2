"""Attackers with the rights that a test names: a registry that they may write to, a store, keys of their own."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from helpers.artifacts import Selection
from helpers.registry import Registry, connect
from helpers.runtime import keys
from tests.plugins.registry import serving

DIGEST, OTHER = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


def text(value: str) -> dict[str, str]:
    """A property as the REST interface has it."""
    return {"string_value": value, "metadataType": "MetadataStringValue"}


@dataclass
class RegistryWriter:
    """Who may send the registry any request, and, on its machine, change its database."""

    registry: Registry
    database: Path

    def _send(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        reply = httpx.request(method, f"{self.registry.address}/api/model_registry/v1alpha3/{path}", **body)
        reply.raise_for_status()
        return reply.json()

    def documents(self, version: str) -> list[dict[str, Any]]:
        """The decisions on a version, oldest first."""
        found = self._send("GET", f"model_versions/{version}/artifacts")["items"]
        return [each for each in found if each["name"].startswith("approval-")]

    def show(self, version: str, **values: str) -> None:
        """Change a version's properties, as the dashboard does."""
        before = self._send("GET", f"model_versions/{version}")["customProperties"]
        changed = {**before, **{name: text(value) for name, value in values.items()}}
        self._send("PATCH", f"model_versions/{version}", json={"state": "LIVE", "customProperties": changed})

    def show_figure(self, version: str, name: str, value: float) -> None:
        """Change or add a figure that a version shows."""
        before = self._send("GET", f"model_versions/{version}")["customProperties"]
        changed = {**before, name: {"double_value": value, "metadataType": "MetadataDoubleValue"}}
        self._send("PATCH", f"model_versions/{version}", json={"state": "LIVE", "customProperties": changed})

    def post(self, version: str, name: str, properties: dict[str, Any]) -> None:
        """Attach a document to a version."""
        marked = {**properties, "model_version_id": text(version)}
        body = {"artifactType": "doc-artifact", "name": name, "uri": "", "state": "LIVE", "customProperties": marked}
        self._send("POST", f"model_versions/{version}/artifacts", json=body)

    def rewrite(self, document: dict[str, Any], **values: str) -> None:
        """Change properties of a document in the database; a real registry has a PATCH for it."""
        [(body,)] = self._sql("SELECT body FROM artifact WHERE id = ?", document["id"])
        changed = {**document["customProperties"], **{name: text(value) for name, value in values.items()}}
        fields = {**json.loads(body), "customProperties": changed}
        self._sql("UPDATE artifact SET body = ? WHERE id = ?", json.dumps(fields), document["id"])

    def delete(self, document: dict[str, Any]) -> None:
        """Take a document out of the registry's database: its interface deletes nothing."""
        self._sql("DELETE FROM artifact WHERE id = ?", document["id"])

    def _sql(self, statement: str, *values: str) -> list[Any]:
        connection = sqlite3.connect(self.database)
        connection.create_collation("folded", lambda one, other: (one > other) - (one < other))
        with closing(connection), connection:
            return connection.execute(statement, values).fetchall()


@pytest.fixture
def attacker(tmp_path, monkeypatch) -> Iterator[RegistryWriter]:
    """A registry of its own, in a file that the attacker reaches too."""
    with serving(tmp_path / "registry.db") as server:
        monkeypatch.setenv("REGISTRY_ADDRESS_LOCAL", server.address)
        yield RegistryWriter(connect("local"), tmp_path / "registry.db")


@pytest.fixture
def registry(attacker: RegistryWriter) -> Registry:
    return attacker.registry


def a_version(registry: Registry, version: str = "1.0", digest: str = DIGEST, uri: str = "file:///m") -> Selection:
    """A candidate of the model alpha."""
    return registry.register_candidate("alpha", version, uri=uri, digest=digest, size_bytes=1)


def other_key() -> tuple[bytes, bytes]:
    """A key pair of the attacker's own: private and public half."""
    private = keys.new_key()
    return private, keys.public_half(private)
