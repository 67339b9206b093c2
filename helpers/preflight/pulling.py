"""Whether the cluster can pull images: tried by one pod that does nothing and is removed a moment later."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from uuid import uuid4

from helpers.cluster.client import Object
from helpers.errors import ClusterRefused, TimedOut
from helpers.polling import wait_for
from helpers.preflight.lines import Line, fix, note, ok
from helpers.preflight.project import RUNNER, Project
from helpers.serving.kserve.images import AT_ONCE, FINAL, UNPULLABLE

DO_SEE = "The first run shows it within a minute"
STARTING = ("ContainerCreating", "PodInitializing", "")
VERBS = ("create", "get", "delete")


def pulled(project: Project, images: Sequence[str]) -> Iterator[Line]:
    """Yield a line for each image, or one for all where no pod may be started or none finds room."""
    listed = ", ".join(images)
    if refused := [verb for verb in VERBS if not project.cluster.allowed(verb, "Pod")]:
        text = f"Whether a node may pull {listed} was not tried: {project.account} may not {', '.join(refused)} pods"
        yield note(text, DO_SEE)
        return
    try:
        states = _tried(project, images)
    except ClusterRefused as error:
        yield note(f"Whether a node may pull {listed} was not tried: {error.what}", error.do)
        return
    yield from (_line(project, image, *states.get(image, ("", ""))) for image in images)


def _tried(project: Project, images: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Start the pod, return each image's state and message as soon as all are known, and remove the pod in any case."""
    cluster, pod = project.cluster, _pod(images)
    name = pod["metadata"]["name"]
    last: dict[str, tuple[str, str]] = {}

    def decided() -> bool:
        last.update(_states(cluster.get("Pod", name) or {}, images))
        return all(_is_known(*last[image]) for image in images)

    try:
        cluster.create(pod)
        wait_for(decided, what=f"The start of pod {name}", do=DO_SEE, timeout=project.seconds)
    except TimedOut:
        pass  # the line says what is known by now
    finally:
        cluster.delete("Pod", name)
    return last


def _states(pod: Object, images: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return "ok", or why a container waits, and the message, by image."""
    status = pod.get("status") or {}
    unplaced = [item for item in status.get("conditions") or [] if item.get("reason") == "Unschedulable"]
    held = {item["name"]: item.get("state") or {} for item in status.get("containerStatuses") or []}
    found = {}
    for number, image in enumerate(images):
        state = held.get(_container(number), {})
        waiting = state.get("waiting") or {}
        reason, message = str(waiting.get("reason", "")), str(waiting.get("message", ""))
        if unplaced:
            reason, message = "Unschedulable", str(unplaced[0].get("message", ""))
        elif "running" in state or "terminated" in state or reason not in (*UNPULLABLE, *STARTING):
            reason, message = "ok", ""  # what comes after a pull is none of this check's
        found[image] = reason, message
    return found


def _is_known(reason: str, message: str) -> bool:
    """Return whether waiting tells no more: the kubelet shows ImagePullBackOff before an attempt that succeeds, too."""
    return reason in ("ok", "Unschedulable", *AT_ONCE) or bool(reason in UNPULLABLE and re.search(FINAL, message))


def _line(project: Project, image: str, reason: str, message: str) -> Line:
    if reason == "ok":
        return ok(f"A node can pull {image}")
    if reason == "Unschedulable":
        return note(f"Whether a node may pull {image} was not tried, because its pod found no room: {message}", DO_SEE)
    if reason in UNPULLABLE:
        do = (
            "Check the name, which `make images IMAGES=registry/project` sets; for a private registry "
            f"`oc secrets link {RUNNER} SECRET --for=pull -n {project.namespace}`"
        )
        return fix(f"A node cannot pull {image} ({reason}: {message})", do)
    return note(f"{image} was not pulled within {project.seconds:g} s and may take longer", DO_SEE)


def _container(number: int) -> str:
    return f"image-{number}"


def _pod(images: Sequence[str]) -> Object:
    """Return a pod that pulls as a node's pod does and can do nothing else."""
    little = {"cpu": "10m", "memory": "32Mi"}
    locked = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {
        "kind": "Pod",
        "metadata": {
            "name": f"assay-preflight-{uuid4().hex[:8]}",
            "labels": {"app.kubernetes.io/part-of": "assay"},
        },
        "spec": {
            "serviceAccountName": RUNNER,  # it has the pull secrets
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "restartPolicy": "Never",
            "activeDeadlineSeconds": 120,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": _container(number),
                    "image": image,
                    "command": ["true"],
                    "resources": {"requests": little, "limits": little},
                    "securityContext": locked,
                }
                for number, image in enumerate(images)
            ],
        },
    }
