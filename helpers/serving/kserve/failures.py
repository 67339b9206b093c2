"""What can go wrong on a cluster, as errors that say what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from helpers import errors
from helpers.errors import DeploymentFailed, StageFailed
from helpers.serving.amounts import number
from helpers.serving.kserve.names import POD_OF, Object, expires

SERVER = "kserve-container"
SET_UP = "runtime-images/openshift/project"
PLATFORM = "redhat-ods-applications"  # opendatahub where Open Data Hub is installed
MODEL_IMAGE = ("modelcar", "modelcar-init")
DO_FREE = "Free what is no longer used (pipeline remove-expired), ask for less in RESOURCES, or try again later"
SCALE = 1.0  # of every patience; the tests let time run faster
DO_CONNECTION = "Check endpoint, bucket and keys of the secret in CONNECTION, then run this stage again"
UNPULLABLE = (
    "ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
    "RegistryUnavailable", "SignatureValidationFailed",
)  # fmt: skip
AT_ONCE = ("InvalidImageName", "ErrImageNeverPull", "SignatureValidationFailed")  # no further attempt can help
FINAL = r"(?i)unauthorized|authentication required|denied|forbidden|not found|manifest unknown|no match|invalid|x509"
LIMITED = r"(?i)toomanyrequests|too many requests|rate limit"
FULL = r"(?i)no space left|disk quota|disk pressure"
SIGNATURE = r"(?i)SignatureValidationFailed|signature.*(required|valid|policy|accepted)|source image rejected"
SECOND_ATTEMPT = 75  # seconds in which it has failed too: it begins after 10 to 29 s and may wait for the DNS
LIMIT_SECONDS = 300
DO_NEVER = "Ask for less in RESOURCES, or for nodes that have it"
DO_WAIT = "Free what is no longer used (pipeline remove-expired), ask for less in RESOURCES, or raise QUEUE_SECONDS"
PASSING = r"Too many pods|were unschedulable|free ports|node\.kubernetes\.io/"  # nodes that come back by themselves
OF_THE_CLUSTER = ("node-role.kubernetes.io/", "node.kubernetes.io/")  # taints that no server should tolerate


class Failure(NamedTuple):
    """One reason why the server does not come up, and for how many seconds it has to hold before it counts."""

    error: type[StageFailed]
    what: str
    do: str
    patience: float = 0
    pod: str = ""
    container: str = ""
    queued: bool = False  # what it asks for is taken: it waits for as long as QUEUE_SECONDS says
    short: tuple[str, ...] = ()  # resources that are taken


def not_admitted(message: str) -> Failure:
    """Return the failure of pods that are not even made."""
    if "exceeded quota" in message:
        do = "Ask for less in RESOURCES, remove what the project no longer needs, or ask for a larger ResourceQuota"
        if _fits_later(message):
            return Failure(errors.NotAdmitted, f"the project's quota is used up ({message})", do, queued=True)
    elif "service account" in message:
        do = "Correct SERVICE_ACCOUNT, or create that ServiceAccount in the project"
    elif "security context constraint" in message:
        do = "Take a SERVING_RUNTIME that fits the project's security context constraints, or ask its administrator"
    elif "storage key" in message or "storage secret" in message:
        return Failure(errors.ModelUnavailable, f"its pod is refused ({message})", DO_CONNECTION, 10)
    else:
        do = "Correct what the message names, or ask the project's administrator"
    return Failure(errors.NotAdmitted, f"its pod is refused ({message})", do, 5)


def _fits_later(message: str) -> bool:
    """Return whether a quota has room for what was asked for once others have ended."""
    asked, limits = (_amounts(message, word) for word in ("requested", "limited"))
    return bool(asked) and all(
        name in limits and number(value) <= number(limits[name]) for name, value in asked.items()
    )


def _amounts(message: str, word: str) -> dict[str, str]:
    text = re.search(rf"{word}: (.*?)(?:, \w+: |$)", message)
    return dict(re.findall(r"([\w./-]+)=([0-9.]+[A-Za-z]*)", text[1] if text else ""))


def out_of_memory(pod: str, container: str) -> Failure:
    """Return the failure of a container that was killed for its memory."""
    do = "Give it more memory in RESOURCES, lower MAX_MODEL_LEN or KV_CACHE_GIB, or choose a smaller model"
    if container == "storage-initializer":
        do = "Ask the administrator for more memory for the storageInitializer (ConfigMap inferenceservice-config)"
    return Failure(
        errors.OutOfMemory, f"{container} was killed because memory ran out (OOMKilled)", do, 0, pod, container
    )


def not_fetched(pod: str, container: str, message: str) -> Failure:
    """Return the failure of an init container, which brings the model."""
    if container in MODEL_IMAGE:
        what = f"the model's image holds nothing under /models that KServe could use ({message})"
        return Failure(errors.ModelUnavailable, what, "Publish the model again with ingest_model", 0, pod, container)
    what = f"{container} could not bring the model ({message})"
    return Failure(errors.ModelUnavailable, what, DO_CONNECTION, 0, pod, container)


def crashed(pod: str, container: str, code: object, reason: str) -> Failure:
    """Return the failure of a container that ended; its log may tell more."""
    if driver := _driver(reason):
        return Failure(errors.InvalidDeployment, f"{container} cannot be started ({reason})", driver, 0, pod)
    what, do = f"{container} ends again and again (exit code {code}, {reason})", "Read the log lines below"
    if code == 137:
        what = f"{container} is killed again and again (exit code 137, {reason}), most likely because a probe fails"
        do = "Read the log lines below; a large model may need a SERVING_RUNTIME whose probes wait longer"
    return Failure(errors.ServerCrashed, what, do, 0, pod, container)


def other_files(pod: str, message: str) -> Failure:
    """Return the failure of a server that found other files in its pod than those that were signed."""
    do = "Do not serve it: find out who changed it, then ingest the model again"
    return Failure(errors.DigestMismatch, f"its pod refuses the model ({message})", do, 0, pod)


def misconfigured(pod: str, container: str, reason: str, message: str) -> Failure:
    """Return the failure of a container that cannot be made."""
    what = f"{container} cannot be made ({reason}: {message})"
    do = "Create the secret, ConfigMap or key that the message names, or choose another SERVING_RUNTIME"
    return Failure(errors.InvalidDeployment, what, _driver(message) or do, 5, pod)


def _driver(message: str) -> str:
    """Return what to do where NVIDIA's container runtime refuses, "" where it does not."""
    if not re.search(r"(?i)nvidia-container|nvidia-ctk|nvidia-smi|cuda ?>=|unresolvable CDI devices", message):
        return ""
    if "unsatisfied condition" in message:
        return "Take a SERVING_RUNTIME for the CUDA version of the node's driver, or ask for a newer driver"
    return "Show it to the cluster's administrator: the node's NVIDIA driver or container runtime is at fault"


def not_mounted(pod: str, reason: str, message: str) -> Failure:
    """Return the failure of a pod whose volumes do not come."""
    what, do = (
        "its volumes cannot be mounted",
        "Check the claim and the secrets, and that nothing else holds the volume",
    )
    return Failure(errors.ModelUnavailable, f"{what} ({reason}: {message})", do, 0, pod)


def no_sandbox(pod: str, reason: str, message: str) -> Failure:
    """Return the failure of a pod that its node cannot even begin."""
    do = "Show it to the cluster's administrator: the node's network or container runtime is at fault"
    return Failure(
        DeploymentFailed, f"its node cannot begin the pod ({reason}: {message})", _driver(message) or do, 0, pod
    )


def not_reconciled(message: str) -> Failure:
    """Return the failure of a service whose parts KServe cannot make; a conflict passes within seconds."""
    what, do = f"KServe cannot make its parts ({message})", "Correct what the message names, or ask the administrator"
    return Failure(errors.InvalidDeployment, what, do, 30)


def invalid(reason: str, message: str, runtime: str) -> Failure:
    """Return the failure of an InferenceService that KServe does not accept; its cache may be a second late."""
    named = f"the ServingRuntime {runtime}" if runtime else "that ServingRuntime"
    by_reason = {
        "RuntimeNotRecognized": f"Create {named} in the project ({from_template(runtime)}), let this stage's account "
        f"create its own (`oc apply -k {SET_UP}`), or name another one in SERVING_RUNTIME",
        "NoSupportingRuntime": "Name a ServingRuntime that supports the format vLLM in SERVING_RUNTIME",
        "RuntimeDisabled": f"Enable {named}, or name another one in SERVING_RUNTIME",
    }
    do = by_reason.get(reason, "Correct SERVING_RUNTIME, RESOURCES, TOLERATIONS or ENGINE_ARGS")
    what = f"KServe does not accept it with {named} ({reason}: {message})"
    return Failure(errors.InvalidDeployment, what, do, 10 if reason == "RuntimeNotRecognized" else 3)


def from_template(runtime: str) -> str:
    """Return the command that makes one of OpenShift AI's ServingRuntimes in the project."""
    return f"`oc process -n {PLATFORM} -o yaml {runtime or 'NAME'}-template | oc apply -f -`"


def blocked(location: str, reason: str, message: str) -> Failure:
    """Return the failure that KServe itself tells, where no pod explains it within a while."""
    what, patience = f"{location or 'the server'} could not load the model ({reason}: {message})", 20
    if location == "storage-initializer":
        return Failure(errors.ModelUnavailable, what, DO_CONNECTION, patience)
    return Failure(errors.ModelNotLoaded, what, "Check the weights, the tokenizer and ENGINE_ARGS", patience)


def stopped(message: str) -> Failure:
    """Return the failure of a deployment that somebody stopped or removed."""
    return Failure(errors.DeploymentStopped, message, "Ask who did, then run this stage again")


def unpullable(pod: str, container: dict[str, Any], message: str, events: list[Object]) -> Failure:
    """Return the failure of an image.

    The kubelet shows ImagePullBackOff already between the first attempt and the second, which often succeeds: what
    the message says decides, and where that may pass, the second attempt.
    """
    name, reason = container["name"], container["state"]["waiting"]["reason"]
    said = f"{message} {' '.join(str(event.get('message', '')) for event in events if _failed(event))}"
    patience = 5 if _attempts(events) > 1 else SECOND_ATTEMPT
    do = "Check the image in the ServingRuntime, and that the project has a pull secret for it"
    if name in MODEL_IMAGE:
        do = "Check that the cluster reaches the model's registry, and name its pull secret in CONNECTION"
    if re.search(LIMITED, said):
        do = "The registry limits pulls: name a pull secret with an account there, or try again later"
        patience = LIMIT_SECONDS
    elif re.search(SIGNATURE, f"{reason} {said}"):
        do = "The cluster's policy does not trust the image's signature: take a signed image, or ask its administrator"
        patience = 0
    elif re.search(FULL, said):
        do = "The node's disk is full: ask the cluster's administrator to free or enlarge it"
    elif reason in AT_ONCE or re.search(FINAL, said):
        patience = 0
    what = f"the image {container.get('image') or 'of ' + name} cannot be pulled ({reason}: {message})"
    return Failure(errors.ImageUnavailable, what, do, patience, pod)


def _failed(event: Object) -> bool:
    return event.get("reason") == "Failed" and "pull" in str(event.get("message", ""))


def _attempts(events: list[Object]) -> int:
    return sum(int(event.get("count") or 1) for event in events if _failed(event) and "Error:" not in event["message"])


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
