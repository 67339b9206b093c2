"""All checks in order; one that fails does not keep the next from being made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from helpers import patience
from helpers.errors import AssayError, ClusterUnreachable, Forbidden
from helpers.preflight import images, permissions, pipelines, places, quota, secrets, server, serving
from helpers.preflight.lines import Line, fix, note
from helpers.preflight.project import Project

DO_LOOK = "Run this as an administrator of the project to see it"
Check = Callable[[Project], Iterable[Line]]
CHECKS: dict[str, Check] = {
    "API server": server.api_server,
    "project": server.namespace,
    "permissions": permissions.permissions,
    "pipeline server": pipelines.pipeline_server,
    "Elyra's runtime": pipelines.elyra_runtime,
    "runtime's secret": pipelines.runtime_secret,
    "store's secret": secrets.store_secret,
    "signing secret": secrets.signing_secret,
    "store": places.store,
    "registry": places.registry,
    "KServe": serving.runtimes,
    "models' store": secrets.kserve_connection,
    "GPU": serving.gpus,
    "quota": quota.quota,
    "images": images.images,
}


def run(project: Project) -> Iterator[Line]:
    """Make every check and yield its lines as they come."""
    for name, check in CHECKS.items():
        yield from (line._replace(check=name) for line in _made(check, project))


def _made(check: Check, project: Project) -> list[Line]:
    """Make one check, which waits for nobody longer than the user wants to."""
    lines: list[Line] = []
    try:
        with patience.at_most(project.seconds):
            lines.extend(check(project))
    except AssayError as error:
        lines.append(_from(error, project, first=check is server.api_server))
    return lines


def _from(error: AssayError, project: Project, *, first: bool) -> Line:
    """Return the line for an error: where only the looking failed, nothing is known to be wrong."""
    if not first and isinstance(error, Forbidden):
        return note(error.what, DO_LOOK)
    if not first and isinstance(error, ClusterUnreachable) and project.connected is None:
        return note(error.what, error.do)
    return fix(error.what, error.do)
