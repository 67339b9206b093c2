"""What the cluster says of a deployment, judged: ready, failed, or how far it is. Nothing is asked here."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from helpers.serving.kserve import failures
from helpers.serving.kserve.failures import Failure
from helpers.serving.kserve.names import Object
from helpers.serving.kserve.pods import cause, condition, has_ended, is_up, pod_failure, pod_progress

REGISTERED, TRACKED = (
    f"modelregistry.opendatahub.io/{name}" for name in ("registered-model-id", "inference-service-id")
)
HASH = "pod-template-hash"
TRACKED_SECONDS = 15  # in which the registry's controller, where there is one, has written its label


class Seen(NamedTuple):
    """The objects that tell how a deployment is doing; what may not be read is empty."""

    service: Object | None
    pods: list[Object]
    deployment: Object | None = None
    events: list[Object] = []  # noqa: RUF012, a NamedTuple's default that is never changed
    nodes: list[Object] | None = None
    age: float = TRACKED_SECONDS  # seconds for which it has been looked at


def is_ready(service: Object) -> bool:
    """Return whether KServe says so now; `lastFailureInfo` may still tell of an earlier failure."""
    return (
        condition(service, "Ready").get("status") == "True"
        and _model(service).get("transitionStatus") not in ("InvalidSpec", "BlockedByFailedLoad")
        and "deletionTimestamp" not in service["metadata"]
    )


def judge(seen: Seen) -> Failure | str:
    """Return why the deployment fails, or how far it is, "ready" at the end."""
    service = seen.service
    if service is None or "deletionTimestamp" in service["metadata"]:
        return failures.stopped("somebody removed its InferenceService while it was coming up")
    pods = newest(seen.pods, seen.deployment)
    if is_ready(service):
        return _unsettled(seen, pods) or "ready"
    if (stopped := condition(service, "Stopped")).get("status") == "True":
        return failures.stopped(f"somebody stopped it ({stopped.get('message') or 'serving.kserve.io/stop'})")
    ended = [pod for pod in pods if has_ended(pod)]
    alive = [pod for pod in pods if pod not in ended]  # a pod that was evicted is replaced
    found = [failure for pod in alive or ended if (failure := pod_failure(pod, seen.events, seen.nodes))]
    if found:
        return min(found, key=lambda failure: (failure.queued, failure.patience))
    refused = None if alive else _refused(service, seen.deployment)
    return _told(service) or refused or _unreconciled(service) or _progress(service, alive)


def newest(pods: list[Object], deployment: Object | None) -> list[Object]:
    """Return the pods of the newest ReplicaSet that are not about to end, oldest first.

    Whoever writes to the InferenceService, for example the registry's controller a label, makes KServe start another
    server beside the first one. The Deployment names its newest ReplicaSet; without it the latest pod tells.
    """
    told = re.search(
        r'eplica ?set "[^"]*-([a-z0-9]+)"', str(condition(deployment, "Progressing").get("message", "")), re.I
    )
    latest = told[1] if told else _hash(pods[-1]) if pods else ""
    return [pod for pod in pods if _hash(pod) in ("", latest) and "deletionTimestamp" not in pod["metadata"]]


def untrue(service: Object | None) -> list[str]:
    """Return every condition that is not as it should be, with its reason."""
    conditions = ((service or {}).get("status") or {}).get("conditions") or []
    return [_condition_text(entry) for entry in conditions if entry["type"] != "Stopped" and entry["status"] != "True"]


def _unsettled(seen: Seen, pods: list[Object]) -> str:
    """Return why a deployment that says that it is ready may not be measured yet, "" where it may."""
    labels = (seen.service or {"metadata": {}})["metadata"].get("labels") or {}
    if REGISTERED in labels and TRACKED not in labels and seen.age < TRACKED_SECONDS * failures.SCALE:
        return "ready; the registry's controller may still write its label, which starts the server anew"
    status, metadata = (seen.deployment or {}).get("status") or {}, (seen.deployment or {}).get("metadata") or {}
    behind = int(metadata.get("generation") or 0) > int(status.get("observedGeneration") or 0)
    ours = {_hash(pod) for pod in pods}
    older = [pod for pod in seen.pods if not has_ended(pod) and _hash(pod) not in ours]
    if behind or status.get("replicas", 1) > status.get("updatedReplicas", 1) or older:
        return "ready, by a server that another one replaces"
    return ""


def _told(service: Object) -> Failure | None:
    """Return the failure that KServe itself tells."""
    model = _model(service)
    info = model.get("lastFailureInfo") or {}
    reason, message = info.get("reason", ""), cause(str(info.get("message", "")))
    if model.get("transitionStatus") == "InvalidSpec":
        predictor = (service.get("spec") or {}).get("predictor") or {}
        return failures.invalid(reason or "InvalidSpec", message, (predictor.get("model") or {}).get("runtime", ""))
    if model.get("transitionStatus") == "BlockedByFailedLoad":
        return failures.blocked(info.get("location", ""), reason, message)
    return None


def _refused(service: Object, deployment: Object | None) -> Failure | None:
    """Return why there is no pod at all: a quota, a security context, a webhook."""
    replicas, predictor = condition(deployment, "ReplicaFailure"), condition(service, "PredictorReady")
    if replicas.get("status") == "True":
        return failures.not_admitted(str(replicas.get("message", replicas.get("reason"))))
    if predictor.get("status") == "False" and "FailedCreate" in str(predictor.get("reason")):
        return failures.not_admitted(str(predictor.get("message", "")))
    return None


def _unreconciled(service: Object) -> Failure | None:
    """Return that KServe cannot make what belongs to the service, for example because its Deployment is invalid."""
    predictor = condition(service, "PredictorReady")
    if predictor.get("status") == "False" and predictor.get("reason") == "ReconcileFailed":
        return failures.not_reconciled(str(predictor.get("message", "")))
    return None


def _progress(service: Object, pods: list[Object]) -> str:
    if pods and is_up(pods[-1]):
        return f"its pod is ready, the service is not: {', '.join(untrue(service)) or 'no condition is told yet'}"
    if pods:
        return pod_progress(pods[-1])
    message = condition(service, "PredictorReady").get("message")
    return f"no pod yet{f' ({message})' if message else ''}"


def _condition_text(entry: dict[str, Any]) -> str:
    why = ": ".join(str(entry[part]) for part in ("reason", "message") if entry.get(part))
    return f"{entry['type']} is {entry['status']}{f' ({why})' if why else ''}"


def _hash(pod: Object) -> str:
    return str((pod["metadata"].get("labels") or {}).get(HASH, ""))


def _model(service: Object) -> dict[str, Any]:
    return (service.get("status") or {}).get("modelStatus") or {}
