"""Whole lists in few requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from helpers.registry.connection import Connection
from helpers.registry.properties import Property, decode


@dataclass(frozen=True)
class Version:
    """A model version as the registry has it now."""

    name: str
    version: str
    registered_model_id: str
    model_version_id: str
    archived: bool
    properties: dict[str, Property]


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


def list_artifacts(connection: Connection, kind: str, version_id: str = "") -> list[dict[str, Any]]:
    """Return the artifacts of a kind ("model-artifact", "doc-artifact") of one version, or of all."""
    path = ("model_versions", version_id, "artifacts") if version_id else ("artifacts",)
    return connection.pages(*path, artifactType=kind)
