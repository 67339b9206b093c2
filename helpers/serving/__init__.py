"""Serve the selected version behind one `Endpoint`: a local process, KServe, or an endpoint that exists already."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from pydantic import Field

from helpers.artifacts import FOLDER, Artifact, Endpoint, Selection, now
from helpers.artifacts.tokenizer import pack_tokenizer
from helpers.serving import existing, local
from helpers.serving.settings import Settings, Where

__all__ = ["Removal", "Settings", "deploy", "remove", "remove_expired"]


class Removal(Artifact):
    """What remove_deployment freed, one sentence for each deployment."""

    filename = "removed.json"
    written_by = "remove_deployment"

    removed: tuple[str, ...]
    ended: datetime = Field(default_factory=now)


def deploy(selection: Selection, settings: Settings, folder: Path = FOLDER) -> Endpoint:
    """Return an endpoint for the selection, and leave its tokenizer in `folder` for the next stages.

    Raises DeploymentFailed, DigestMismatch, SignatureInvalid or EndpointUnreachable.
    """
    endpoint = _target(settings.where)(selection, settings)
    try:
        return endpoint.model_copy(update={"tokenizer": str(pack_tokenizer(Path(endpoint.tokenizer), folder))})
    except BaseException:
        remove(endpoint)
        raise


def _target(where: Where) -> Callable[[Selection, Settings], Endpoint]:
    if where == "kserve":
        from helpers.serving import kserve

        return kserve.deploy
    return local.deploy if where == "local" else existing.connect


def remove(endpoint: Endpoint) -> str:
    """Free what `deploy` made, and say in one sentence what that was; removing it twice is fine."""
    if endpoint.target == "kserve":
        from helpers.serving import kserve

        return kserve.remove(endpoint.handle)
    return local.remove(endpoint.handle) if endpoint.target == "local" else f"{endpoint.url} existed before and stays"


def remove_expired(settings: Settings | None = None) -> list[str]:
    """Free every deployment of ours that is past its lifetime, on this machine and, for KServe, in this project."""
    removed = local.remove_expired()
    if (settings or Settings()).where == "kserve":
        from helpers.serving import kserve

        removed += kserve.remove_expired()
    return removed
