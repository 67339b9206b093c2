"""The pipeline server, Elyra's way to it, and the quota under which its pods start."""

from __future__ import annotations

from collections.abc import Iterator

from helpers.cluster.client import Object
from helpers.errors import AssayError, InvalidInput, NotFound
from helpers.pipelines import server
from helpers.pipelines.preflight.places import complete
from helpers.pipelines.preflight.project import SET_UP, Line, Project, fix, note, ok
from helpers.runtime.account import in_pod

SERVER = "dspa"
DO_RESTART = "Configure the pipeline server with an external bucket, then restart the workbench"
BUCKET_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")  # under these names and no others Elyra hands them on
LIMIT, REQUEST = ("default",), ("defaultRequest", "default")  # where a LimitRange says it; a limit is a request too
DEFAULTS = {
    "limits.cpu": (LIMIT, "cpu"),
    "limits.memory": (LIMIT, "memory"),
    "requests.cpu": (REQUEST, "cpu"),
    "requests.memory": (REQUEST, "memory"),
    "cpu": (REQUEST, "cpu"),
    "memory": (REQUEST, "memory"),
}
OTHER_PODS = {"Terminating", "BestEffort", "PriorityClass", "CrossNamespacePodAffinity"}  # scopes without a node's pod


def pipeline_server(project: Project) -> Iterator[Line]:
    """The server as its operator describes it; its name decides the account and Elyra's runtime."""
    found = project.cluster.get("DataSciencePipelinesApplication", SERVER)
    if found is None:
        do = f"Configure a pipeline server in the project; OpenShift AI calls it {SERVER}"
        yield fix(f"There is no pipeline server {SERVER}", do)
        return
    conditions = (found.get("status") or {}).get("conditions") or []
    ready = next((item for item in conditions if item["type"] == "Ready"), {"status": "Unknown"})
    if ready["status"] != "True":
        why = ready.get("message") or ready.get("reason") or "it has not said why"
        yield fix(f"The pipeline server {SERVER} is not ready: {why}", "Repair what it names, or wait")
    elif not (found["spec"].get("objectStorage") or {}).get("externalStorage"):
        text = f"The pipeline server {SERVER} has no external storage, so workbenches get no runtime from it"
        yield fix(text, DO_RESTART)
    else:
        yield ok(f"{SERVER} is ready")


def elyra_runtime(project: Project) -> Iterator[Line]:
    """The runtime that `make submit` and the canvas use, and whether its server answers and knows the token."""
    try:
        server.prepare()
        runtime = server.find(project.runtime)
        server.knock(runtime, "the question", timeout=project.seconds)
    except ImportError:
        yield note("Elyra is not installed here", "Run this in a workbench")
    except NotFound as error:
        yield (fix if in_pod() else note)(error.what, error.do)
    except AssayError as error:
        yield fix(error.what, error.do)
    else:
        yield ok(f"{project.runtime} leads to {runtime.api_endpoint}, which answers")


def runtime_secret(project: Project) -> Iterator[Line]:
    """The Secret with which every node reads and writes the bucket that Elyra's runtime names."""
    try:
        name = str(server.find(project.runtime).metadata["cos_secret"])
    except (ImportError, NotFound, InvalidInput):
        yield note(f"Which Secret opens the bucket of {project.runtime} is not known here", "See Elyra's runtime above")
        return
    how = f"it is the connection of the pipeline server {SERVER}, which names it in objectStorage.externalStorage"
    yield complete(project, name, BUCKET_KEYS, how)


def quota(project: Project) -> Iterator[Line]:
    """Hold what the quotas count against the defaults of the LimitRanges."""
    counted = {
        name: item["metadata"]["name"]
        for item in project.cluster.list("ResourceQuota")
        for name in (item.get("spec") or {}).get("hard") or {}
        if name in DEFAULTS and _counts_nodes(item)
    }
    if not counted:
        yield ok("No quota counts CPU or memory")
        return
    quotas = ", ".join(sorted(set(counted.values())))
    given = [
        limit
        for item in project.cluster.list("LimitRange")
        for limit in item["spec"]["limits"]
        if limit.get("type") == "Container"
    ]
    if missing := sorted(name for name in counted if not _said(name, given)):
        text = (
            f"The quota {quotas} counts {', '.join(missing)}, and no LimitRange gives a default: no pipeline's pod "
            "starts, because Argo's own containers, init and wait, say none"
        )
        yield fix(text, f"Create a LimitRange with defaults: {SET_UP}")
    else:
        yield ok(f"The quota {quotas} counts {', '.join(sorted(counted))}, for which a LimitRange has defaults")


def _counts_nodes(item: Object) -> bool:
    spec = item["spec"]
    selected = ((spec.get("scopeSelector") or {}).get("matchExpressions")) or []
    return OTHER_PODS.isdisjoint([*(spec.get("scopes") or []), *(part.get("scopeName") for part in selected)])


def _said(name: str, limits: list[Object]) -> bool:
    fields, resource = DEFAULTS[name]
    return any(resource in (limit.get(field) or {}) for limit in limits for field in fields)
