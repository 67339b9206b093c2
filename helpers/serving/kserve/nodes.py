"""Whether a node may still come for a pod: what no node could ever hold, and what is merely taken."""

from __future__ import annotations

import re
from collections.abc import Iterable

from helpers import errors
from helpers.serving.amounts import number
from helpers.serving.kserve.failures import DO_FREE, Failure
from helpers.serving.kserve.names import POD_OF, Object, expires

DO_NEVER = "Ask for less in RESOURCES, or for nodes that have it"
DO_WAIT = "Free what nobody uses any more (pipeline remove-expired), ask for less in RESOURCES, or raise QUEUE_SECONDS"
PASSING = r"Too many pods|were unschedulable|free ports|node\.kubernetes\.io/"  # nodes that come back by themselves
OF_THE_CLUSTER = ("node-role.kubernetes.io/", "node.kubernetes.io/")  # taints that no server should tolerate


def unschedulable(pod: Object, message: str, nodes: list[Object] | None) -> Failure:
    """Return the failure of a pod for which there is no node now.

    Never fits: the scheduler says of each node that nothing which ends there would help ("Preemption is not helpful";
    since Kubernetes 1.33 also where a node has less than is asked for), or the nodes may be read and none has as much.
    Where neither can be told, something is taken, and the pod queues.
    """
    name, (now, _, later) = pod["metadata"]["name"], message.partition("preemption:")
    short = tuple(dict.fromkeys(re.findall(r"Insufficient ([\w./-]*\w)", now)))
    if not short and re.search(r"(?i)persistentvolumeclaim|volume", now):
        return Failure(
            errors.ModelUnavailable, f"no node can mount its volume ({message})", "Check the claim", 20, name
        )
    tainted = [
        key for key in re.findall(r"untolerated taint\(?s?\)? \{([^:}=]+)", now) if not key.startswith(OF_THE_CLUSTER)
    ]
    advice = (
        f"Add {' and '.join(dict.fromkeys(tainted))} to TOLERATIONS if the server may run there. " if tainted else ""
    )
    if not short and not re.search(PASSING, now):
        return Failure(errors.NotSchedulable, f"no node takes its pod ({message})", f"{advice}{DO_FREE}", 20, name)
    if _unhelpful(now, later) or (nodes is not None and not any(_holds(node, pod) for node in nodes)):
        what = f"no node could ever hold its pod: {' and '.join(short) or 'none fits'} ({message})"
        return Failure(errors.NotSchedulable, what, f"{advice}{DO_NEVER}", 20, name)
    missing = f"no node has enough free {' and '.join(short)}" if short else "no node takes its pod now"
    return Failure(
        errors.NotSchedulable, f"{missing} ({message})", f"{advice}{DO_WAIT}", pod=name, queued=True, short=short
    )


def gated(pod: str, message: str) -> Failure:
    """Return the failure of a pod that a queue (Kueue's) has not let in."""
    what = f"its queue has not admitted it ({message})"
    return Failure(
        errors.NotSchedulable, what, "Look at the queue in QUEUE, or raise QUEUE_SECONDS", pod=pod, queued=True
    )


def holders(pods: Iterable[Object], resources: tuple[str, ...]) -> list[str]:
    """Return who in the project has a device of these kinds, and until when where that is known."""
    devices = [resource for resource in resources if "/" in resource]
    found = []
    for pod in pods:
        ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        if ended or not (pod.get("spec") or {}).get("nodeName") or not any(_requested(pod).get(one) for one in devices):
            continue
        owner = (pod["metadata"].get("labels") or {}).get(POD_OF) or pod["metadata"]["name"]
        until = expires(pod)
        found.append(f"{owner} (until {until:%H:%M} UTC)" if until else str(owner))
    return sorted(set(found))


def _unhelpful(now: str, later: str) -> bool:
    """Return whether the scheduler says of every node that nothing which ends there would make room."""
    total, helpless = re.search(r"0/(\d+) nodes", now), re.search(r"(\d+) Preemption is not helpful", later)
    return bool(total and helpless and int(helpless[1]) >= int(total[1])) and not re.search(PASSING, now)


def _requested(pod: Object) -> dict[str, float]:
    total: dict[str, float] = {}
    for container in (pod.get("spec") or {}).get("containers") or []:
        for resource, amount in ((container.get("resources") or {}).get("requests") or {}).items():
            total[resource] = total.get(resource, 0) + _amount(amount)
    return total


def _holds(node: Object, pod: Object) -> bool:
    """Return whether a node that ran nothing else would have as much as the pod asks for."""
    has = (node.get("status") or {}).get("allocatable") or {}
    return all(_amount(has.get(resource, "0")) >= amount for resource, amount in _requested(pod).items())


def _amount(quantity: object) -> float:
    try:
        return number(str(quantity))
    except (AssertionError, KeyError, ValueError):
        return float("inf")  # a spelling that is not known proves nothing
