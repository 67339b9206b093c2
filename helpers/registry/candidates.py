"""Register a model version as a candidate; doing it again changes nothing, and a crash halfway is repaired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from helpers.artifacts import Selection
from helpers.errors import InvalidInput, StoreFailed
from helpers.registry.connection import Connection, run_async
from helpers.registry.properties import Property, as_int, storable

if TYPE_CHECKING:
    from model_registry.types import ModelArtifact, ModelVersion

ATTEMPTS = 10
LONGEST_NAME = 240  # the real server keeps "<id>:<name>" in 255 characters


@dataclass(frozen=True)
class Candidate:
    """What is known of a model version when it comes in. `source` has the keys kind, class, group, id, name."""

    name: str
    version: str
    uri: str
    digest: str
    size_bytes: int
    license: str = "unknown"
    parameters: int | None = None
    model_format: str = "safetensors"
    model_format_version: str = "1"
    description: str = ""
    source: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def properties(self) -> dict[str, Property]:
        """Return the version's custom properties."""
        known = {"digest": self.digest, "license": self.license, "size_bytes": self.size_bytes, "approval": "candidate"}
        if self.parameters is not None:
            known["parameters"] = self.parameters
        return storable({**self.provenance, "model_format": self.model_format, **known})

    def artifact(self) -> dict[str, Any]:
        """Return the model artifact's own fields."""
        source = {f"model_source_{key}": value for key, value in self.source.items()}
        versions = {"model_format_name": self.model_format, "model_format_version": self.model_format_version}
        return {**versions, **source}


def register_candidate(connection: Connection, candidate: Candidate) -> Selection:
    """Register model, version and artifact, whichever are missing, and return what is there.

    Raises InvalidInput for metadata the registry cannot hold, and where this version exists with another digest.
    """
    _check(candidate, connection.address)  # before the first call: the client's register_model leaves halves behind
    for _ in range(ATTEMPTS):
        version, artifact = connection.attempt(partial(_find, connection, candidate))
        if version is not None and artifact is not None:
            return selection(connection.address, candidate.name, version, artifact)
        connection.attempt(partial(_add_missing, connection, candidate, version))
    raise StoreFailed(f"{candidate.name} {candidate.version} could not be registered", do="Run this stage again")


def _check(candidate: Candidate, address: str) -> None:
    for value in (candidate.name, candidate.version):
        if not 0 < len(value) <= LONGEST_NAME or "\x00" in value:
            raise InvalidInput(f"Name {value[:40]!r} is empty or too long", do=f"Use 1 to {LONGEST_NAME} characters")
    candidate.properties()
    selection_from(address, candidate.name, candidate.version, candidate.uri, candidate.properties(), ("0", "0", "0"))


def _find(connection: Connection, candidate: Candidate) -> tuple[ModelVersion | None, ModelArtifact | None]:
    client = connection.client
    if client.get_registered_model(candidate.name) is None:
        return None, None
    version = client.get_model_version(candidate.name, candidate.version)
    if version is None:
        return None, None
    digest = (version.custom_properties or {}).get("digest")
    if digest != candidate.digest:
        raise InvalidInput(
            f"{candidate.name} {candidate.version} is registered with digest {digest}, not {candidate.digest}",
            do="Give the changed files a new version",
        )
    return version, client.get_model_artifact(candidate.name, candidate.version)


def _add_missing(connection: Connection, candidate: Candidate, version: ModelVersion | None) -> None:
    from model_registry.exceptions import StoreError
    from model_registry.types import ModelArtifact
    from mr_openapi.exceptions import ConflictException

    client = connection.client
    try:
        if version is None:
            client.register_model(
                candidate.name,
                candidate.uri,
                version=candidate.version,
                version_description=candidate.description or None,
                metadata=candidate.properties(),
                **candidate.artifact(),
            )
        else:
            artifact = ModelArtifact(name=candidate.name, uri=candidate.uri, **candidate.artifact())
            run_async(client._api.upsert_model_version_artifact(artifact, version.id))
    except (ConflictException, StoreError):
        return  # another process did it first: look again


def selection(address: str, name: str, version: ModelVersion, artifact: ModelArtifact, reason: str = "") -> Selection:
    """Return the selection for a version and its artifact."""
    ids = (str(version.registered_model_id), str(version.id), str(artifact.id))
    properties = dict(version.custom_properties or {})
    return selection_from(address, name, version.name, artifact.uri or "", properties, ids, reason)


def selection_from(
    address: str,
    name: str,
    version: str,
    uri: str,
    properties: Mapping[str, Property],
    ids: tuple[str, str, str],
    reason: str = "",
) -> Selection:
    """Return the selection made of a version's properties; raises InvalidInput where they do not say enough."""
    try:
        return Selection(
            name=name,
            version=version,
            uri=uri,
            digest=str(properties.get("digest", "")),
            model_format=str(properties.get("model_format", "safetensors")),
            license=str(properties.get("license", "unknown")),
            size_bytes=as_int(properties.get("size_bytes")) or 0,
            parameters=as_int(properties.get("parameters")),
            registry=address,
            registered_model_id=ids[0],
            model_version_id=ids[1],
            model_artifact_id=ids[2],
            reason=reason,
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInput(
            f"{name} {version}, {'.'.join(map(str, first['loc']))}: {first['msg']}",
            do="Bring the model in with the ingest_model notebook",
        ) from error
