"""What a pod says of itself: why it fails, or how far it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from helpers import errors
from helpers.serving.kserve import failures
from helpers.serving.kserve.check_and_serve import OTHER_FILES
from helpers.serving.kserve.failures import SERVER, Failure
from helpers.serving.kserve.names import Object

MISCONFIGURED = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
MESSAGE = 400  # characters of a message that are told
MOUNTING = ("FailedMount", "FailedAttachVolume")
SANDBOX = "FailedCreatePodSandBox"
PROMISES = ("TriggeredScaleUp", "Nominated")  # by the cluster autoscaler, by Karpenter
REPEATED = timedelta(seconds=60)  # the kubelet tries after 0.5, 1, 2, … 32 s: what still fails then goes on failing
OLD = timedelta(seconds=150)  # and at the latest every 122 s


def pod_failure(pod: Object, events: list[Object], known_nodes: list[Object] | None = None) -> Failure | None:
    """Return the gravest reason why a pod does not come up, None while it may still."""
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    if status.get("phase") == "Failed":
        message = f"its pod was ended ({status.get('reason') or 'Failed'}: {_short(status)})"
        return Failure(errors.ServerCrashed, message, failures.DO_FREE, 30, name)
    about = [event for event in events if (event.get("involvedObject") or {}).get("name") == name]
    for container in status.get("initContainerStatuses") or []:
        if found := _container(name, container, about, first=True):
            return found
    for container in status.get("containerStatuses") or []:
        if found := _container(name, container, about, first=False):
            return found
    return _unscheduled(pod, about, known_nodes) or _unprepared(name, status, about)


def first_crash(pod: Object) -> str:
    """Return the container that ended with an error once and may be starting again, "" where none did."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return next((item["name"] for item in statuses if _ended(item).get("exitCode", 0)), "")


def has_ended(pod: Object) -> bool:
    """Return whether a pod is over, for example because it was evicted; Kubernetes keeps it to be looked at."""
    return (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded")


def is_up(pod: Object) -> bool:
    """Return whether all containers of a pod are ready."""
    return condition(pod, "Ready").get("status") == "True"


def image_of(pod: Object) -> str:
    """Return the digest by which the node has the server's image, "" where the pod does not tell."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return next((str(item.get("imageID") or "") for item in statuses if item.get("name") == SERVER), "")


def current_container(pod: Object) -> str:
    """Return the container whose log tells how far the pod is: what brings the model, then the server."""
    for container in (pod.get("status") or {}).get("initContainerStatuses") or []:
        if not container.get("ready"):
            return str(container["name"])
    return SERVER


def pod_progress(pod: Object) -> str:
    """Return in a few words how far a pod is."""
    status = pod.get("status") or {}
    if is_up(pod):
        return "its pod is ready"
    if condition(pod, "PodScheduled").get("status") == "False":
        return "waiting for a node"
    for container in status.get("initContainerStatuses") or []:
        state = container.get("state") or {}
        if "running" in state and not container.get("ready"):
            return f"{container['name']} is at work"
        if reason := (state.get("waiting") or {}).get("reason"):
            return f"{container['name']}: {reason}"
    waiting = [text for item in status.get("containerStatuses") or [] if (text := _waits_for(item))]
    if waiting:
        return ", ".join(waiting)
    return "its node prepares it" if status.get("phase") in (None, "Pending") else "vLLM starts"


def condition(item: Object | None, kind: str) -> dict[str, Any]:
    """Return a condition of an object's status, {} where it has none of that type."""
    conditions = ((item or {}).get("status") or {}).get("conditions") or []
    return next((entry for entry in conditions if entry.get("type") == kind), {})


def _waits_for(container: dict[str, Any]) -> str:
    name, state = container["name"], container.get("state") or {}
    if waiting := state.get("waiting"):
        return f"{name}: {waiting.get('reason')}"
    if ended := state.get("terminated"):
        return f"{name} ended with exit code {ended.get('exitCode')} and is started again"
    if container.get("ready"):
        return ""
    return "vLLM starts" if name == SERVER else f"{name} starts"


def _container(pod: str, container: dict[str, Any], events: list[Object], *, first: bool) -> Failure | None:
    name, ended = container["name"], _ended(container)
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason = waiting.get("reason", "")
    if reason in failures.UNPULLABLE:
        return failures.unpullable(pod, container, _short(waiting), events)
    if reason in MISCONFIGURED:
        return failures.misconfigured(pod, name, reason, _short(waiting))
    if not first and ended.get("exitCode") == OTHER_FILES:
        return failures.other_files(pod, _short(ended))
    if ended.get("reason") == "OOMKilled":
        return failures.out_of_memory(pod, name)
    if first and ended.get("exitCode"):
        return failures.not_fetched(pod, name, cause(str(ended.get("message") or f"exit code {ended['exitCode']}")))
    if reason == "CrashLoopBackOff":
        return failures.crashed(pod, name, ended.get("exitCode", "unknown"), _short(ended) or _short(waiting))
    return None


def _ended(container: dict[str, Any]) -> dict[str, Any]:
    """Return how a container ended, now or before its latest start."""
    for state in (container.get("state") or {}, container.get("lastState") or {}):
        if ended := state.get("terminated"):
            return dict(ended)
    return {}


def cause(message: str) -> str:
    """Return the end of what a container wrote, without lines that only inform: there it says why it ended."""
    lines = message.splitlines()
    telling = [line for line in lines if " INFO " not in line] or lines
    text = " ".join(" ".join(telling).split())
    return text if len(text) <= MESSAGE else f"…{text[-MESSAGE:]}"


def _short(said: dict[str, Any]) -> str:
    text = " ".join(str(said.get("message") or said.get("reason") or "").split())
    return text if len(text) <= MESSAGE else f"{text[:MESSAGE]}…"


def _unscheduled(pod: Object, events: list[Object], known_nodes: list[Object] | None) -> Failure | None:
    """Return that no node takes the pod, unless an autoscaler has promised one."""
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("reason") == "SchedulingGated":
        return failures.gated(pod["metadata"]["name"], _short(scheduled))
    promised = any(event.get("reason") in PROMISES for event in events)
    if scheduled.get("reason") != "Unschedulable" or promised:
        return None
    return failures.unschedulable(pod, " ".join(str(scheduled.get("message", "")).split()), known_nodes)


def _unprepared(pod: str, status: dict[str, Any], events: list[Object]) -> Failure | None:
    """Return that the node cannot mount the volumes or make the sandbox: only while that is repeated.

    Both pass often, for example where a certificate comes a moment after the pod; the event stays for an hour.
    """
    if status.get("phase") != "Pending" or _has_begun(status):
        return None
    for reasons, failure in ((MOUNTING, failures.not_mounted), ((SANDBOX,), failures.no_sandbox)):
        repeated = [event for event in events if event.get("reason") in reasons]
        if repeated and _goes_on(repeated):
            last = max(repeated, key=lambda event: max(_moments(event), default=datetime.min.replace(tzinfo=UTC)))
            return failure(pod, str(last["reason"]), _short(last))
    return None


def _has_begun(status: dict[str, Any]) -> bool:
    """Return whether volumes are mounted and the network is there: Kubernetes 1.29 says so, before a container does."""
    if condition({"status": status}, "PodReadyToStartContainers").get("status") == "True":
        return True
    containers = (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or [])
    states = [part for item in containers for part in (item.get("state") or {}, item.get("lastState") or {})]
    return any("running" in state or "terminated" in state for state in states)


def _goes_on(events: list[Object]) -> bool:
    moments = [moment for event in events for moment in _moments(event)]
    if not moments:
        return False
    first, last = min(moments), max(moments)
    return last - first >= REPEATED and datetime.now(UTC) - last <= OLD


def _moments(event: Object) -> list[datetime]:
    """Return when an event was seen first and last, as far as it says so."""
    series = event.get("series") or {}
    stated = (
        event.get("firstTimestamp"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        series.get("lastObservedTime"),
    )
    return [datetime.fromisoformat(moment) for moment in stated if moment]
