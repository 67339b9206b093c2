"""What a pod says of itself: why it fails, or how far it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from helpers import errors
from helpers.serving.kserve import failures
from helpers.serving.kserve.failures import SERVER, Failure
from helpers.serving.kserve.names import Object

UNPULLABLE = ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError")
MISCONFIGURED = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
MESSAGE = 400  # characters of a message that are told
MOUNTING = ("FailedMount", "FailedAttachVolume")


def pod_failure(pod: Object, events: list[Object]) -> Failure | None:
    """Return the gravest reason why a pod does not come up, None while it may still."""
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    if status.get("phase") == "Failed" and status.get("reason"):
        message = f"its pod was ended ({status['reason']}: {_short(status)})"
        return Failure(errors.ServerCrashed, message, failures.DO_FREE, 0, name)
    for container in status.get("initContainerStatuses") or []:
        if found := _container(name, container, first=True):
            return found
    for container in status.get("containerStatuses") or []:
        if found := _container(name, container, first=False):
            return found
    return _unscheduled(name, status, events) or _unmounted(name, status, events)


def first_crash(pod: Object) -> str:
    """Return the container that ended with an error once and may be starting again, "" where none did."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return next((item["name"] for item in statuses if _ended(item).get("exitCode", 0)), "")


def pod_progress(pod: Object) -> str:
    """Return in a few words how far a pod is."""
    status = pod.get("status") or {}
    if status.get("phase") in (None, "Pending") and not status.get("containerStatuses"):
        return "waiting for a node"
    for container in status.get("initContainerStatuses") or []:
        state = container.get("state") or {}
        if "running" in state and not container.get("ready"):
            return f"{container['name']} is at work"
        if waiting := (state.get("waiting") or {}).get("reason"):
            return f"{container['name']}: {waiting}"
    statuses = status.get("containerStatuses") or []
    waiting = [f"{item['name']}: {item['state']['waiting'].get('reason')}" for item in statuses if _waits(item)]
    return ", ".join(waiting) or "vLLM starts"


def _container(pod: str, container: dict[str, Any], *, first: bool) -> Failure | None:
    name, ended = container["name"], _ended(container)
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason = waiting.get("reason", "")
    if reason in UNPULLABLE:
        return failures.unpullable(pod, name, container.get("image", ""), reason, _short(waiting))
    if reason in MISCONFIGURED:
        return failures.misconfigured(pod, name, reason, _short(waiting))
    if ended.get("reason") == "OOMKilled" or (name == SERVER and ended.get("exitCode") == 137):
        return failures.out_of_memory(pod, name)
    if first and ended.get("exitCode"):
        return failures.not_fetched(pod, name, _short(ended) or f"exit code {ended['exitCode']}")
    if reason == "CrashLoopBackOff":
        return failures.crashed(pod, name, ended.get("exitCode", "unknown"), _short(ended) or _short(waiting))
    return None


def _ended(container: dict[str, Any]) -> dict[str, Any]:
    """Return how a container ended, now or before its latest start."""
    for state in (container.get("state") or {}, container.get("lastState") or {}):
        if ended := state.get("terminated"):
            return dict(ended)
    return {}


def _waits(container: dict[str, Any]) -> bool:
    return bool((container.get("state") or {}).get("waiting"))


def _short(said: dict[str, Any]) -> str:
    text = " ".join(str(said.get("message") or said.get("reason") or "").split())
    return text if len(text) <= MESSAGE else f"{text[:MESSAGE]}…"


def _conditions(status: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from status.get("conditions") or []


def _unscheduled(pod: str, status: dict[str, Any], events: list[Object]) -> Failure | None:
    """Return that no node takes the pod, unless an autoscaler has promised one."""
    promised = any(event.get("reason") == "TriggeredScaleUp" for event in _about(pod, events))
    for condition in _conditions(status):
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable" and not promised:
            return failures.unschedulable(pod, _short(condition))
    return None


def _unmounted(pod: str, status: dict[str, Any], events: list[Object]) -> Failure | None:
    if status.get("phase") != "Pending":
        return None
    for event in _about(pod, events):
        if event.get("reason") in MOUNTING:
            what = f"its volumes cannot be mounted ({event['reason']}: {_short(event)})"
            do = "Check the claim and the secrets, and that nothing else holds the volume"
            return Failure(errors.ModelUnavailable, what, do, 45, pod)
    return None


def _about(pod: str, events: list[Object]) -> Iterator[Object]:
    return (event for event in events if (event.get("involvedObject") or {}).get("name") == pod)
