"""Which very server stands behind an InferenceService, and whether it is still the same."""

from __future__ import annotations

from typing import Any

from helpers.artifacts import Server
from helpers.cluster import connect
from helpers.serving.difference import Difference
from helpers.serving.kserve.failures import SERVER
from helpers.serving.kserve.names import POD_OF, Object
from helpers.serving.kserve.pods import image_of


def server(service: Object, pods: list[Object]) -> Server:
    """Return what tells this server from any other; a pod that goes away does not count."""
    metadata = service["metadata"]
    known: dict[str, Any] = {"uid": metadata.get("uid", ""), "generation": metadata.get("generation", 0)}
    if pod := serving_pod(pods):
        known |= {"pod": pod["metadata"]["name"], "pod_uid": pod["metadata"].get("uid", ""), "image": image_of(pod)}
        known |= {"restarts": _restarts(pod), "started": (pod.get("status") or {}).get("startTime")}
    return Server(**known)


def serving_pod(pods: list[Object]) -> Object | None:
    """Return the pod that serves: the newest that is ready, else the newest that stands; None where none does."""
    standing = [pod for pod in pods if _stands(pod)]
    return next((pod for pod in reversed(standing) if _ready(pod)), standing[-1] if standing else None)


def difference(handle: str, known: Server | None) -> Difference | None:
    """Return what became of a deployment, None where the same server stands. Raises ClusterUnreachable."""
    namespace, _, name = handle.rpartition("/")
    cluster = connect(namespace)
    service = cluster.get("InferenceService", name)
    if service is None or "deletionTimestamp" in service["metadata"]:
        return Difference(f"the InferenceService {handle} was removed", gone=True)
    if known is None:
        return None
    if service["metadata"].get("uid") != known.uid:
        return Difference(f"the InferenceService {handle} was removed and made again", gone=True)
    if service["metadata"].get("generation") != known.generation:
        return Difference(f"somebody changed the InferenceService {handle}", gone=False)
    return _replaced(cluster.list("Pod", f"{POD_OF}={name}"), known) if known.pod else None


def _replaced(pods: list[Object], known: Server) -> Difference | None:
    standing = {pod["metadata"]["uid"]: pod for pod in pods if _stands(pod)}
    pod = standing.pop(known.pod_uid, None)
    if pod is None:
        return Difference(f"its pod {known.pod} was replaced", gone=True, stands=True)
    if (restarts := _restarts(pod)) != known.restarts:
        times = restarts - known.restarts
        return Difference(
            f"the server in its pod {known.pod} was started again ({times} times)", gone=True, stands=True
        )
    if other := next((other["metadata"]["name"] for other in standing.values() if _ready(other)), ""):
        return Difference(f"a second pod, {other}, answers beside its pod {known.pod}", gone=True, stands=True)
    return None


def _stands(pod: Object) -> bool:
    ended = (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded")
    return "deletionTimestamp" not in pod["metadata"] and not ended


def _ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)


def _restarts(pod: Object) -> int:
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return next((int(item.get("restartCount", 0)) for item in statuses if item.get("name") == SERVER), 0)
