"""Whole lists in few requests, read as plain JSON: the client's own models take seconds for thousands of entries."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from helpers.registry.properties import Property, decode

if TYPE_CHECKING:
    from mr_openapi import ModelRegistryServiceApi

PAGE_SIZE = "1000"


@dataclass(frozen=True)
class Version:
    """A model version as the registry has it now."""

    name: str
    version: str
    registered_model_id: str
    model_version_id: str
    archived: bool
    properties: dict[str, Property]


async def pages(call: Callable[..., Awaitable[Any]], *arguments: str, **query: str) -> list[dict[str, Any]]:
    """Return all items of a list endpoint, ordered by id so that writes meanwhile do not shift the pages."""
    from mr_openapi import OrderByField
    from mr_openapi.exceptions import ApiException

    items: list[dict[str, Any]] = []
    while True:
        response = await call(*arguments, page_size=PAGE_SIZE, order_by=OrderByField.ID, **query)
        body = await response.read()
        if response.status != 200:
            raise ApiException(status=response.status, reason=response.reason, body=body.decode(errors="replace"))
        page = json.loads(body)
        items += page["items"]
        if not page.get("nextPageToken"):
            return items
        query["next_page_token"] = page["nextPageToken"]


async def list_versions(api: ModelRegistryServiceApi) -> list[Version]:
    """Return every version of every model."""
    versions, models = await asyncio.gather(
        pages(api.get_model_versions_without_preload_content),
        pages(api.get_registered_models_without_preload_content),
    )
    owners = {model["id"]: model for model in models}
    # A version made while we listed may name a model that the list does not have yet.
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


async def list_artifacts(api: ModelRegistryServiceApi, kind: str, version_id: str = "") -> list[dict[str, Any]]:
    """Return the artifacts of a kind ("model-artifact", "doc-artifact") of one version, or of all."""
    from mr_openapi import ArtifactTypeQueryParam

    wanted = ArtifactTypeQueryParam(kind)
    if version_id:
        return await pages(api.get_model_version_artifacts_without_preload_content, version_id, artifact_type=wanted)
    return await pages(api.get_artifacts_without_preload_content, artifact_type=wanted)
