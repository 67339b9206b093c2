"""What the account of the pipelines and this account may do, as the cluster itself says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from helpers import data_connection
from helpers.cluster.kinds import KINDS
from helpers.cluster.refusals import binding
from helpers.errors import Forbidden
from helpers.preflight.lines import Line, fix, note, ok
from helpers.preflight.project import RUNNER, Project


class Need(NamedTuple):
    """The verbs that Assay uses on a kind, or on the one of that name; without a kind that is not `vital` it does."""

    kind: str
    verbs: tuple[str, ...]
    vital: bool = True
    name: str = ""


ALL = ("get", "list", "create", "delete")
NEEDS = (
    Need("InferenceService", ALL),
    Need("ServingRuntime", ALL, vital=False),
    Need("Pod", ("list",)),
    Need("Pod/log", ("get",)),
    Need("Service", ("get",)),
    Need("Secret", ("get",), name=data_connection.SECRET),
    Need("Deployment", ("get",)),
    Need("Event", ("list",), vital=False),
)
DO_ASK = "Run this as an administrator of the project, who may ask for another account"


def permissions(project: Project) -> Iterator[Line]:
    """Say for both accounts what is missing: the pipelines need it, a workbench only to deploy from its notebooks."""
    if project.runs_pipelines:
        yield _of(project, "")
        return
    try:
        yield _of(project, RUNNER)
    except Forbidden:
        yield note(f"What {RUNNER} may do cannot be seen by {project.account}", DO_ASK)
    yield _of(project, "")


def _of(project: Project, account: str) -> Line:
    """Return the line for an account, "" for the one that asks."""
    who = f"system:serviceaccount:{project.namespace}:{account}" if account else project.account
    missing = {need: verbs for need in NEEDS if (verbs := _refused(project, need, account))}
    if not missing:
        return ok(f"{who} may deploy, watch over and remove models")
    text = f"{who} may not " + ", nor ".join(f"{', '.join(verbs)} {_resource(need)}" for need, verbs in missing.items())
    vital = (account or project.runs_pipelines) and any(need.vital for need in missing)
    return (fix if vital else note)(text, binding(who, project.namespace))


def _refused(project: Project, need: Need, account: str) -> list[str]:
    ask = project.cluster.allowed
    return [verb for verb in need.verbs if not ask(verb, need.kind, name=need.name, account=account)]


def _resource(need: Need) -> str:
    kind, _, part = need.kind.partition("/")
    return KINDS[kind].resource + (f"/{part}" if part else "")
