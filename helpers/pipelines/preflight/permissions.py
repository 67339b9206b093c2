"""The cluster's API and project, and what the pipelines' account and this one may do, as the cluster itself says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from helpers import cluster
from helpers.cluster.client import KINDS, binding
from helpers.errors import Forbidden
from helpers.pipelines.preflight.project import DO_ASK, RUNNER, Line, Project, fix, note, ok
from helpers.storage import data_connection


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


class Need(NamedTuple):
    """The verbs that Assay uses on a kind, or on the one of that name; without a kind that is not `vital` it does.

    The pipeline server's operator gives its account what is not `ours`; the rest is the project's own Role.
    """

    kind: str
    verbs: tuple[str, ...]
    vital: bool = True
    name: str = ""
    ours: bool = False
    nodes: bool = False  # of a pipeline only, and not a workbench


ALL = ("get", "list", "create", "delete")


NEEDS = (
    Need("InferenceService", ALL),
    Need("ServingRuntime", ALL, ours=True),
    Need("Pod", ("list",)),
    Need("Pod/log", ("get",)),
    Need("Service", ("get",)),
    Need("Secret", ("get",), name=data_connection.SECRET),
    Need("Deployment", ("get",)),
    Need("Event", ("list",), vital=False, ours=True),
    Need("PrometheusRule", ("get", "create", "delete"), vital=False, ours=True, nodes=True),
    # By which Thanos answers an account about the project.
    Need("PodMetrics", ("get",), vital=False, ours=True, nodes=True),
)


DO_OPERATOR = (
    f"The pipeline server's operator writes the Role {RUNNER} that should give this: ask the server's administrator "
    "to have it written anew"
)


def permissions(project: Project) -> Iterator[Line]:
    """Say for both accounts what is missing: the pipelines need it, a workbench only to deploy from its notebooks."""
    if project.runs_pipelines:
        yield from _of_pipelines(project, project.account, "")
        return
    try:
        yield from list(_of_pipelines(project, f"system:serviceaccount:{project.namespace}:{RUNNER}", RUNNER))
    except Forbidden:
        yield note(f"What {RUNNER} may do cannot be seen by {project.account}", DO_ASK)
    if missing := {need: verbs for need, verbs in _missing(project, "").items() if not need.nodes}:
        yield note(f"{project.account} may not {_listed(missing)}", binding(project.account, project.namespace))
    else:
        yield ok(f"{project.account} may deploy, watch over and remove models")


def _of_pipelines(project: Project, who: str, account: str) -> Iterator[Line]:
    """Yield a line for each Role that lacks something."""
    missing = _missing(project, account)
    if not missing:
        yield ok(f"{who} may deploy, watch over and remove models")
    for ours, do in ((True, binding(who, project.namespace)), (False, DO_OPERATOR)):
        if lacking := {need: verbs for need, verbs in missing.items() if need.ours == ours}:
            state = fix if any(need.vital for need in lacking) else note
            yield state(f"{who} may not {_listed(lacking)}", do)


def _missing(project: Project, account: str) -> dict[Need, list[str]]:
    """Return what an account may not do, "" for the one that asks. Raises Forbidden where that may not be asked."""
    ask = project.cluster.allowed
    refused = {
        need: [verb for verb in need.verbs if not ask(verb, need.kind, name=need.name, account=account)]
        for need in NEEDS
    }
    return {need: verbs for need, verbs in refused.items() if verbs}


def _listed(missing: Mapping[Need, list[str]]) -> str:
    return ", nor ".join(f"{', '.join(verbs)} {_resource(need)}" for need, verbs in missing.items())


def _resource(need: Need) -> str:
    kind, _, part = need.kind.partition("/")
    return KINDS[kind].resource + (f"/{part}" if part else "")
