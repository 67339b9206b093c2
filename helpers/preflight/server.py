"""The cluster's API: does it answer, as whom, and is the project there."""

from __future__ import annotations

from collections.abc import Iterator

from helpers import cluster
from helpers.preflight.lines import Line, fix, ok
from helpers.preflight.project import Project


def api_server(project: Project) -> Iterator[Line]:
    """Connect, and ask who this is."""
    connected = cluster.connect(project.namespace, timeout=project.seconds)
    project.account = connected.account()
    project.connected, project.namespace = connected, connected.namespace
    yield ok(f"{connected.address} knows this account as {project.account}")


def namespace(project: Project) -> Iterator[Line]:
    """Look for the project."""
    if project.cluster.get("Namespace", project.namespace):
        yield ok(f"{project.namespace} is there")
    else:
        do = f"Create it with `oc new-project {project.namespace}`, or name another with --namespace"
        yield fix(f"There is no project {project.namespace}", do)
