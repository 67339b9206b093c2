"""From a version in the registry to the selection that the next stages read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from helpers.artifacts import Selection
from helpers.errors import InvalidInput
from helpers.registry.connection import Connection
from helpers.registry.listing import list_artifacts
from helpers.registry.properties import Property, as_int, decode

DO_INGEST = "Bring the model in with the ingest_model notebook"


def read_selection(connection: Connection, name: str, version_id: str, reason: str = "") -> Selection | None:
    """Return the selection for a version, or None while it has no model artifact."""
    artifacts = list_artifacts(connection, "model-artifact", version_id)
    if not artifacts:
        return None
    version = connection.get("model_versions", version_id)
    # Other tools name artifacts as they like; the newest one counts.
    artifact = max(artifacts, key=lambda item: int(item["id"]))
    ids = (version["registeredModelId"], version_id, artifact["id"])
    properties = decode(version.get("customProperties"))
    return build(connection.address, (name, version["name"], artifact.get("uri", "")), properties, ids, reason)


def build(
    address: str,
    named: tuple[str, str, str],
    properties: Mapping[str, Property],
    ids: tuple[str, str, str],
    reason: str = "",
) -> Selection:
    """Return the selection of (name, version, uri); raises InvalidInput where the properties do not say enough."""
    name, version, uri = named
    known: dict[str, Any] = {
        field: str(properties[field]) for field in ("model_format", "license") if field in properties
    }
    try:
        return Selection(
            name=name,
            version=version,
            uri=uri,
            digest=str(properties.get("digest", "")),
            size_bytes=as_int(properties.get("size_bytes")) or 0,
            parameters=as_int(properties.get("parameters")),
            registry=address,
            registered_model_id=ids[0],
            model_version_id=ids[1],
            model_artifact_id=ids[2],
            reason=reason,
            **known,
        )
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise InvalidInput(f"{name} {version}, {field}: {first['msg']}", do=DO_INGEST) from error
