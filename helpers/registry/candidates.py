"""Register a model version as a candidate; doing it again changes nothing, and a crash halfway is repaired."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from helpers.artifacts import Selection
from helpers.errors import InvalidInput, StoreFailed
from helpers.registry.connection import Connection
from helpers.registry.properties import Property, decode, encode, storable
from helpers.registry.selection import build, read_selection

if TYPE_CHECKING:
    from mr_openapi import ModelRegistryServiceApi

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
        source = {f"modelSource{key.capitalize()}": value for key, value in self.source.items()}
        form = {"modelFormatName": self.model_format, "modelFormatVersion": self.model_format_version}
        return {"name": self.name, "uri": self.uri, "state": "LIVE", **form, **source}


def register_candidate(connection: Connection, candidate: Candidate, author: str) -> Selection:
    """Register model, version and artifact, whichever are missing, and return what is there.

    Raises InvalidInput for metadata the registry cannot hold, and where this version exists with another digest.
    """
    _check(candidate, connection.address)  # before the first call, so that a refusal leaves nothing behind
    return connection.run(partial(_register, connection.address, candidate, author))


def _check(candidate: Candidate, address: str) -> None:
    for value in (candidate.name, candidate.version):
        if not 0 < len(value) <= LONGEST_NAME or "\x00" in value:
            raise InvalidInput(f"Name {value[:40]!r} is empty or too long", do=f"Use 1 to {LONGEST_NAME} characters")
    named = (candidate.name, candidate.version, candidate.uri)
    build(address, named, candidate.properties(), ("0", "0", "0"))


async def _register(address: str, candidate: Candidate, author: str, api: ModelRegistryServiceApi) -> Selection:
    model = await _model(api, candidate, author)
    version = await _version(api, candidate, author, model)
    if found := await read_selection(api, address, candidate.name, version):
        return found
    await _add_artifact(api, candidate, version)
    if found := await read_selection(api, address, candidate.name, version):
        return found
    raise StoreFailed(f"{candidate.name} {candidate.version} has no artifact after all", do="Run this stage again")


async def _model(api: ModelRegistryServiceApi, candidate: Candidate, author: str) -> str:
    from mr_openapi import RegisteredModelCreate

    body = RegisteredModelCreate(name=candidate.name, owner=author)
    find = partial(api.find_registered_model, name=candidate.name)
    return (await _find_or_create(find, partial(api.create_registered_model, body))).id


async def _version(api: ModelRegistryServiceApi, candidate: Candidate, author: str, model: str) -> str:
    from mr_openapi import ModelVersionCreate

    fields = {"name": candidate.version, "registeredModelId": model, "author": author}
    fields |= {"description": candidate.description} if candidate.description else {}
    body = ModelVersionCreate.from_dict({**fields, "customProperties": encode(candidate.properties())})
    find = partial(api.find_model_version, name=candidate.version, parent_resource_id=model)
    version = await _find_or_create(find, partial(api.create_model_version, body))
    digest = decode(version.to_dict().get("customProperties")).get("digest")
    if digest != candidate.digest:
        raise InvalidInput(
            f"{candidate.name} {candidate.version} is registered with digest {digest}, not {candidate.digest}",
            do="Give the changed files a new version",
        )
    return version.id


async def _add_artifact(api: ModelRegistryServiceApi, candidate: Candidate, version: str) -> None:
    from mr_openapi import Artifact
    from mr_openapi.exceptions import ConflictException

    artifact = Artifact.from_dict({**candidate.artifact(), "artifactType": "model-artifact"})
    with contextlib.suppress(ConflictException):  # another process registers the same
        await api.upsert_model_version_artifact(version, artifact)


async def _find_or_create(find: Callable[[], Awaitable[Any]], create: Callable[[], Awaitable[Any]]) -> Any:
    from mr_openapi.exceptions import ConflictException, NotFoundException

    with contextlib.suppress(NotFoundException):
        return await find()
    try:
        return await create()
    except ConflictException:
        return await find()
