"""Document artifacts on a version: each addition stands alone, so that writers never overwrite each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from helpers.registry.connection import Connection
from helpers.registry.properties import Property, decode, encode, sendable

RECORD, MEASUREMENT, DECISION, VERDICT, WITHDRAWAL = "record-", "measurement-", "approval-", "verdict-", "withdrawal-"
VERSION_ID = "model_version_id"
DOCUMENT = "doc-artifact"
Document = dict[str, Any]


@dataclass(frozen=True)
class Version:
    """A model version as the registry has it now."""

    name: str
    version: str
    registered_model_id: str
    model_version_id: str
    archived: bool
    properties: dict[str, Property]
    doubt: str = ""  # why the approval that it shows is none, where that was looked into


def list_versions(connection: Connection) -> list[Version]:
    """Return every version of every model."""
    versions = connection.pages("model_versions")
    # Models second: a version made while we listed may name a model that an earlier list does not have yet.
    owners = {model["id"]: model for model in connection.pages("registered_models")}
    # The registry takes versions of models that do not exist.
    return [_version(item, owners[owner]) for item in versions if (owner := item["registeredModelId"]) in owners]


def _version(item: dict[str, Any], model: dict[str, Any]) -> Version:
    return Version(
        name=model["name"],
        version=item["name"],
        registered_model_id=model["id"],
        model_version_id=item["id"],
        archived="ARCHIVED" in (item.get("state"), model.get("state")),
        properties=decode(item.get("customProperties")),
    )


def read_version(connection: Connection, version_id: str) -> Version:
    """Return one version. Raises NotFound."""
    item = connection.get("model_versions", version_id)
    return _version(item, connection.get("registered_models", item["registeredModelId"]))


def list_artifacts(connection: Connection, kind: str, version_id: str = "") -> list[dict[str, Any]]:
    """Return the artifacts of a kind ("model-artifact", "doc-artifact") of one version, or of all."""
    path = ("model_versions", version_id, "artifacts") if version_id else ("artifacts",)
    return connection.pages(*path, artifactType=kind)


def set_state(connection: Connection, version_id: str, state: str) -> None:
    """Set a version to LIVE or ARCHIVED; its properties are sent along, because a PATCH replaces all."""
    raw = connection.get("model_versions", version_id).get("customProperties") or {}
    kept = {name: sendable(value) for name, value in raw.items()}
    connection.patch("model_versions", version_id, body={"state": state, "customProperties": kept})


def properties_of(document: Document) -> dict[str, Property]:
    """Return the document's own properties."""
    return decode(document.get("customProperties"))


def of_kind(documents: Sequence[Document], kind: str) -> list[Document]:
    """Return the records, measurements, decisions, verdicts or withdrawals, oldest first."""
    found = [document for document in documents if document.get("name", "").startswith(kind)]
    return sorted(found, key=lambda document: int(document["id"]))


def post(connection: Connection, version_id: str, name: str, uri: str, properties: Mapping[str, Property]) -> bool:
    """Attach a document to the version; the same name twice is one document: return whether it was not there."""
    # A list of all artifacts does not say whose they are, so the document says it.
    marked = encode({**properties, VERSION_ID: version_id})
    body = {"artifactType": DOCUMENT, "name": name, "uri": uri, "state": "LIVE", "customProperties": marked}
    return connection.post("model_versions", version_id, "artifacts", body=body) is not None
