"""Serve the selected version behind one `Endpoint`: a local process, KServe, or an endpoint that exists already."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import Field

from helpers.artifacts import FOLDER, Artifact, Endpoint, Selection, now
from helpers.artifacts import run as runs
from helpers.artifacts.tokenizer import pack_tokenizer
from helpers.errors import ArtifactMissing, InvalidInput, InvalidParameter
from helpers.registry import AttachedRecord
from helpers.serving import client, existing, guard, local
from helpers.serving.settings import Place, Settings, Where


class Removal(Artifact):
    """What remove_deployment freed, one sentence for each deployment."""

    filename = "removed.json"
    written_by = "remove_deployment"

    removed: tuple[str, ...]
    ended: datetime = Field(default_factory=now)


def deploy(
    selection: Selection, settings: Settings, folder: Path = FOLDER, known: Collection[AttachedRecord] = ()
) -> Endpoint:
    """Return an endpoint for the selection, and leave its tokenizer in `folder` for the next stages.

    `known` are the version's records: on this machine, where one has the same engine and hardware, the server starts
    only when a stage has something to measure.

    What is made carries the run from its creation on. Raises DeploymentFailed, DigestMismatch, SignatureInvalid,
    InvalidParameter or EndpointUnreachable.
    """
    if selection.is_endpoint and settings.where != "existing":
        raise InvalidParameter(
            f"{selection.label} is the endpoint {selection.uri}, and TARGET is {settings.target}",
            do="Set TARGET=existing and ENDPOINT_URL, or select another version",
        )
    settings = settings.model_copy(update={"target": settings.where})
    selection = selection.model_copy(update={"run": selection.run or runs.current(folder)})
    endpoint = local.planned(selection, settings, known) if settings.where == "local" and known else None
    endpoint = endpoint or _target(settings.where)(selection, settings)
    try:
        packed = pack_tokenizer(Path(endpoint.tokenizer) if endpoint.tokenizer else None, folder)
    except BaseException:
        remove(endpoint)
        raise
    tokenizer = str(packed) if endpoint.tokenizer else ""
    return endpoint.model_copy(
        update={"tokenizer": tokenizer, "run": selection.run, "settings": settings.model_dump(mode="json")}
    )


def _target(where: Where) -> Callable[[Selection, Settings], Endpoint]:
    if where == "kserve":
        from helpers.serving import kserve

        return kserve.deploy
    return local.deploy if where == "local" else existing.connect


def ensure(folder: Path = FOLDER) -> Endpoint:
    """Return the endpoint of endpoint.json; where its server is gone, serve the same again and write the file anew.

    An endpoint that existed before is never served again. Raises ServerChanged where somebody changed the server, and
    what `deploy` raises.
    """
    endpoint = Endpoint.read(folder)
    if endpoint.target == "existing":
        _look_at_existing(endpoint)
        return endpoint
    if not (found := guard.difference(endpoint)):
        return endpoint
    if not (found.gone and endpoint.settings):
        raise guard.changed(endpoint, found)
    selection = Selection.read(folder)
    if endpoint.url:
        print(f"{selection.label} is served again, because {found.what}", flush=True)
    if found.stands:
        remove(endpoint)
    given: dict[str, Any] = {**endpoint.settings, "policy": Path(str(endpoint.settings["policy"]))}
    again = deploy(selection, Settings(**given), folder)
    again.write(folder)
    return again


def _look_at_existing(endpoint: Endpoint) -> None:
    with client.access(endpoint.auth):
        status = client.health(endpoint.url)
    if isinstance(status, str):
        print(f"{endpoint.url} does not answer ({status}); it existed before and is not served again", flush=True)


def remove(endpoint: Endpoint) -> str:
    """Free what `deploy` made, and say in one sentence what that was; removing it twice is fine."""
    if endpoint.target == "kserve":
        from helpers.serving import kserve

        return kserve.remove(endpoint.handle)
    return local.remove(endpoint.handle) if endpoint.target == "local" else f"{endpoint.url} existed before and stays"


def remove_run(run: str, settings: Place | None = None) -> list[str]:
    """Free all that a run deployed, from this folder of this machine and, for KServe, in this project; say what it was.

    It is found by the run and by no file. [] where nothing stands; doing it twice is fine. Raises TimedOut,
    ClusterUnreachable or Forbidden.
    """
    if not run:
        return []
    removed = local.remove_owned(Path.cwd(), run)
    if (settings or Place()).where == "kserve":
        from helpers.serving import kserve

        removed += kserve.remove_run(run)
    return removed


def remove_deployed(settings: Place | None = None, folder: Path = FOLDER) -> list[str]:
    """Free what the run of `folder` deployed, also where endpoint.json is missing; others' deployments stay.

    Raises as `remove_run` does.
    """
    try:
        endpoint = Endpoint.read(folder)
    except ArtifactMissing:
        return remove_run(runs.current(folder), settings)
    except InvalidInput as error:  # another run's, or none that can be read
        return [*remove_run(runs.current(folder), settings), f"{error.what}: what that file names stays"]
    if endpoint.target == "existing":
        return [remove(endpoint)]
    removed = remove_run(endpoint.run, settings)
    # Files of version 1 name no run, and TARGET need not say where the endpoint is.
    return removed if removed else [remove(endpoint)]


def remove_expired(settings: Place | None = None) -> list[str]:
    """Free every deployment of ours that is past its lifetime, on this machine and, for KServe, in this project."""
    removed = local.remove_expired()
    if (settings or Place()).where == "kserve":
        from helpers.serving import kserve

        removed += kserve.remove_expired()
    return removed
