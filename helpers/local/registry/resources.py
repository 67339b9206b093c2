"""The resources that the registry keeps, described by the client's own schemas."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import mr_openapi
from pydantic import BaseModel

COMPUTED = ("createTimeSinceEpoch", "lastUpdateTimeSinceEpoch", "experimentId", "experimentRunId", "artifactType")


@dataclass(frozen=True)
class Resource:
    """One kind of thing: its paths, its table, its schemas and the state it has unless told otherwise."""

    kind: str
    label: str
    singular: str
    plural: str
    table: str
    read: type[BaseModel]
    create: type[BaseModel]
    update: type[BaseModel]
    default_state: str

    @property
    def is_artifact(self) -> bool:
        """Whether it belongs to versions, and bodies may carry an `artifactType`."""
        return self.table == "artifact"


def _resource(kind: str, label: str, singular: str, table: str, schema: str, state: str) -> Resource:
    read, create, update = (getattr(mr_openapi, f"{schema}{suffix}") for suffix in ("", "Create", "Update"))
    return Resource(kind, label, singular, f"{singular}s", table, read, create, update, state)


MODEL = _resource("model", "registered model", "registered_model", "context", "RegisteredModel", "LIVE")
VERSION = _resource("version", "model version", "model_version", "context", "ModelVersion", "LIVE")
MODEL_ARTIFACT = _resource("model-artifact", "model artifact", "model_artifact", "artifact", "ModelArtifact", "UNKNOWN")
DOC_ARTIFACT = _resource("doc-artifact", "doc artifact", "doc_artifact", "artifact", "DocArtifact", "UNKNOWN")
ARTIFACTS = {resource.kind: resource for resource in (MODEL_ARTIFACT, DOC_ARTIFACT)}


@lru_cache
def field_names(schema: type[BaseModel]) -> dict[str, str]:
    """Return the JSON names of a schema's fields by their lower-case form: the real server ignores case there."""
    names = (field.alias or name for name, field in schema.model_fields.items())
    return {name.lower(): name for name in names}


@lru_cache
def required_names(schema: type[BaseModel]) -> tuple[str, ...]:
    """Return the JSON names of a schema's required fields."""
    return tuple(field.alias or name for name, field in schema.model_fields.items() if field.is_required())
