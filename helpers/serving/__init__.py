"""Serve the selected version behind one `Endpoint`: a local vLLM process, or an endpoint that exists already."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from helpers.artifacts import Artifact, Endpoint, Selection, now
from helpers.serving import existing, local
from helpers.serving.settings import Settings

__all__ = ["Removal", "Settings", "deploy", "remove", "remove_expired"]


class Removal(Artifact):
    """What remove_deployment freed, one sentence for each deployment."""

    filename = "removed.json"
    written_by = "remove_deployment"

    removed: tuple[str, ...]
    ended: datetime = Field(default_factory=now)


def deploy(selection: Selection, settings: Settings) -> Endpoint:
    """Return an endpoint for the selection. Raises DeploymentFailed, DigestMismatch or EndpointUnreachable."""
    return {"local": local.deploy, "existing": existing.connect}[settings.target](selection, settings)


def remove(endpoint: Endpoint) -> str:
    """Free what `deploy` made, and say in one sentence what that was; removing it twice is fine."""
    if endpoint.target != "local":
        return f"{endpoint.url} existed before and stays"
    return local.remove(endpoint.handle)


def remove_expired() -> list[str]:
    """Free every local deployment that is past its lifetime, and say what was removed, one sentence each."""
    return local.remove_expired()
