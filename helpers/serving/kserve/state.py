"""What the cluster says of a deployment, judged: ready, failed, or how far it is. Nothing is asked here."""

from __future__ import annotations

from typing import Any, NamedTuple

from helpers.serving.kserve import failures
from helpers.serving.kserve.failures import Failure
from helpers.serving.kserve.names import Object
from helpers.serving.kserve.pods import pod_failure, pod_progress


class Seen(NamedTuple):
    """The objects that tell how a deployment is doing; what may not be read is empty."""

    service: Object | None
    pods: list[Object]
    deployment: Object | None = None
    events: list[Object] = []  # noqa: RUF012, a NamedTuple's default that nobody changes


def is_ready(service: Object) -> bool:
    """Return whether KServe says so now; `lastFailureInfo` may still tell of an earlier failure."""
    return (
        _condition(service, "Ready").get("status") == "True"
        and _model(service).get("transitionStatus") not in ("InvalidSpec", "BlockedByFailedLoad")
        and "deletionTimestamp" not in service["metadata"]
    )


def judge(seen: Seen) -> Failure | str:
    """Return why the deployment fails, or how far it is, "ready" at the end."""
    service = seen.service
    if service is None or "deletionTimestamp" in service["metadata"]:
        return failures.stopped("somebody removed its InferenceService while it was coming up")
    if is_ready(service):
        return "ready"
    if (stopped := _condition(service, "Stopped")).get("status") == "True":
        return failures.stopped(f"somebody stopped it ({stopped.get('message') or 'serving.kserve.io/stop'})")
    pods = [pod for pod in seen.pods if "deletionTimestamp" not in pod["metadata"]]
    found = [failure for pod in pods if (failure := pod_failure(pod, seen.events))]
    if found:
        return min(found, key=lambda failure: failure.patience)
    return _told(service) or (None if pods else _refused(service, seen.deployment)) or _progress(service, pods)


def _told(service: Object) -> Failure | None:
    """Return the failure that KServe itself tells."""
    model = _model(service)
    info = model.get("lastFailureInfo") or {}
    reason, message = info.get("reason", ""), " ".join(str(info.get("message", "")).split())[:400]
    if model.get("transitionStatus") == "InvalidSpec":
        return failures.invalid(reason or "InvalidSpec", message)
    if model.get("transitionStatus") == "BlockedByFailedLoad":
        return failures.blocked(info.get("location", ""), reason, message)
    return None


def _refused(service: Object, deployment: Object | None) -> Failure | None:
    """Return why there is no pod at all: a quota, a security context, a webhook."""
    replicas = _condition(deployment, "ReplicaFailure") if deployment else {}
    predictor = _condition(service, "PredictorReady")
    if replicas.get("status") == "True":
        return failures.not_admitted(str(replicas.get("message", replicas.get("reason"))))
    if predictor.get("status") == "False" and "FailedCreate" in str(predictor.get("reason")):
        return failures.not_admitted(str(predictor.get("message", "")))
    return None


def _progress(service: Object, pods: list[Object]) -> str:
    if pods:
        return pod_progress(pods[-1])
    message = _condition(service, "PredictorReady").get("message")
    return f"no pod yet{f' ({message})' if message else ''}"


def _condition(item: Object, kind: str) -> dict[str, Any]:
    conditions = (item.get("status") or {}).get("conditions") or []
    return next((condition for condition in conditions if condition.get("type") == kind), {})


def _model(service: Object) -> dict[str, Any]:
    return (service.get("status") or {}).get("modelStatus") or {}
