"""A model version as a candidate that is registered, and as the selection that the next stages read.

Registering it again changes nothing, and a crash halfway is repaired.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from helpers.artifacts import Selection
from helpers.artifacts.deployment import UNKNOWN
from helpers.errors import DigestMismatch, InvalidInput, NotApproved, StoreFailed
from helpers.registry.connection import Connection, Json
from helpers.registry.documents import Version, list_artifacts
from helpers.registry.history import RETIRED
from helpers.registry.properties import (
    LONGEST_URI,
    Property,
    as_int,
    ascii_text,
    bounded,
    decode,
    encode,
    folded,
    storable,
)

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


def digest_in(properties: Mapping[str, Property]) -> str:
    """Return the digest that a version's properties name, "" for an endpoint, of which the registry says `unknown`."""
    digest = str(properties.get("digest", ""))
    return "" if digest == UNKNOWN else digest


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
            digest=digest_in(properties),
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


def confirm(version: Version, selection: Selection, *, require_approval: bool) -> None:
    """Raise DigestMismatch where the registry names another digest, NotApproved where the version may not be used.

    An endpoint is never approved and may be measured.
    """
    registered = digest_in(version.properties)
    if registered != selection.digest:
        raise DigestMismatch(
            f"The registry names digest {registered} for {selection.label}, and the selection {selection.digest}",
            do="Run registry_lookup or ingest_model again, and find out what changed if it happens twice",
        )
    approval = str(version.properties.get("approval", "unknown"))
    if approval == RETIRED:
        why = version.properties.get("approval_reasons")
        raise NotApproved(f"{selection.label} is retired: {why}", do="Choose another version with registry_lookup")
    if version.archived:
        raise NotApproved(f"{selection.label} is archived", do="Choose another version with registry_lookup")
    if require_approval and approval != "approved" and not selection.is_endpoint:
        reasons = version.properties.get("approval_reasons") or "there is no decision on it"
        raise NotApproved(
            f"{selection.label} is {approval}, not approved: {reasons}",
            do="Choose another version with registry_lookup, or have ModelOps run the model-ops pipeline on it",
        )


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
        source = {f"modelSource{key.capitalize()}": ascii_text(value) for key, value in self.source.items()}
        form = {"modelFormatName": self.model_format, "modelFormatVersion": self.model_format_version}
        return {"name": self.name, "uri": self.uri, "state": "LIVE", **form, **source}


def register_candidate(connection: Connection, candidate: Candidate, author: str) -> Selection:
    """Register the model, the version and the artifact where they are missing, and return all three.

    Raises InvalidInput for metadata the registry cannot hold, where this version exists with another digest, and where
    a model or version exists whose name differs only in case or accents: MySQL takes those for the same.
    """
    _check(candidate, connection.address)  # before the first call, so that a refusal leaves nothing behind
    model = _model(connection, candidate, author)
    version = _version(connection, candidate, author, model)
    if found := read_selection(connection, candidate.name, version):
        _require_same_endpoint(found, candidate)
        return found
    body = {**candidate.artifact(), "artifactType": "model-artifact"}
    connection.post("model_versions", version, "artifacts", body=body)  # or another process registered the same
    if found := read_selection(connection, candidate.name, version):
        return found
    raise StoreFailed(f"{candidate.name} {candidate.version} has no artifact after all", do="Run this stage again")


def _require_same_endpoint(found: Selection, candidate: Candidate) -> None:
    if found.is_endpoint and found.uri != candidate.uri:
        raise InvalidInput(
            f"{found.label} is registered as the endpoint {found.uri}, not {candidate.uri}",
            do="Give this endpoint another MODEL_NAME or MODEL_VERSION",
        )


def _check(candidate: Candidate, address: str) -> None:
    bounded("Model name", candidate.name)
    bounded("Version", candidate.version)
    bounded("Address", candidate.uri, LONGEST_URI)
    named = (candidate.name, candidate.version, candidate.uri)
    build(address, named, candidate.properties(), ("0", "0", "0"))


def _model(connection: Connection, candidate: Candidate, author: str) -> str:
    body = {"name": candidate.name, "owner": ascii_text(author)}
    return str(_found_or_created(connection, "model", candidate.name, ("registered_models",), body)["id"])


def _version(connection: Connection, candidate: Candidate, author: str, model: str) -> str:
    body: Json = {"name": candidate.version, "registeredModelId": model, "author": ascii_text(author)}
    body |= {"description": ascii_text(candidate.description)} if candidate.description else {}
    body |= {"customProperties": encode(candidate.properties())}
    version = _found_or_created(connection, "version", candidate.version, ("model_versions",), body, model)
    digest = decode(version.get("customProperties")).get("digest")
    if digest != candidate.digest:
        raise InvalidInput(
            f"{candidate.name} {candidate.version} is registered with digest {digest}, not {candidate.digest}",
            do=f"Give {candidate.uri if candidate.digest == UNKNOWN else 'the changed files'} a version of its own "
            "(MODEL_VERSION)",
        )
    return str(version["id"])


def _found_or_created(
    connection: Connection, kind: str, name: str, path: tuple[str, ...], body: Json, model: str = ""
) -> Json:
    listed = ("registered_models", model, "versions") if model else path
    for _ in range(2):  # a second time where another process was faster
        if found := _of_name(connection.pages(*listed), kind, name):
            return found
        if made := connection.post(*path, body=body):
            return made
    if found := _of_name(connection.pages(*listed), kind, name):
        return found
    raise StoreFailed(f"The registry has the {kind} {name} and does not list it", do="Run this stage again")


def _of_name(items: list[Json], kind: str, name: str) -> Json | None:
    alike = [item for item in items if folded(item["name"]) == folded(name)]
    if exact := [item for item in alike if item["name"] == name]:
        return exact[0]
    if alike:
        raise InvalidInput(
            f"The registry has the {kind} {alike[0]['name']!r}, which differs from {name!r} only in case or accents",
            do=f"Use the registered spelling {alike[0]['name']!r}, or another name",
        )
    return None
