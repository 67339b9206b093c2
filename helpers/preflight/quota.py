"""Whether a pipeline's pods start under the project's quota: what it counts every container has to say."""

from __future__ import annotations

from collections.abc import Iterator

from helpers.cluster.client import Object
from helpers.preflight.lines import Line, fix, ok
from helpers.preflight.project import SET_UP, Project

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
