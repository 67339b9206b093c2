"""Document artifacts on a version: each addition stands alone, so that writers never overwrite each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from helpers.registry.connection import Connection
from helpers.registry.properties import Property, decode, encode

RECORD, DECISION, VERDICT = "record-", "approval-", "verdict-"
VERSION_ID = "model_version_id"
DOCUMENT = "doc-artifact"
Document = dict[str, Any]


def properties_of(document: Document) -> dict[str, Property]:
    """Return the document's own properties."""
    return decode(document.get("customProperties"))


def of_kind(documents: Sequence[Document], kind: str) -> list[Document]:
    """Return the records, decisions or verdicts, oldest first."""
    found = [document for document in documents if document.get("name", "").startswith(kind)]
    return sorted(found, key=lambda document: int(document["id"]))


def post(connection: Connection, version_id: str, name: str, uri: str, properties: Mapping[str, Property]) -> None:
    """Attach a document to the version; the same name twice is one document."""
    # A list of all artifacts does not say whose they are, so the document says it.
    marked = encode({**properties, VERSION_ID: version_id})
    body = {"artifactType": DOCUMENT, "name": name, "uri": uri, "state": "LIVE", "customProperties": marked}
    connection.post("model_versions", version_id, "artifacts", body=body)
