"""What can go wrong on a cluster, as errors that say what to do."""

from __future__ import annotations

import re
from typing import NamedTuple

from helpers import errors
from helpers.errors import DeploymentFailed
from helpers.serving.amounts import number

SERVER = "kserve-container"
SET_UP = "runtime-images/openshift/project"
PLATFORM = "redhat-ods-applications"  # opendatahub where Open Data Hub is installed
MODEL_IMAGE = ("modelcar", "modelcar-init")
DO_FREE = "Free what nobody uses any more (pipeline remove-expired), ask for less in RESOURCES, or try again later"
SCALE = 1.0  # of every patience; the tests let time run faster
DO_CONNECTION = "Check endpoint, bucket and keys of the secret in CONNECTION, then run this stage again"


class Failure(NamedTuple):
    """One reason why the server does not come up, and for how many seconds it has to hold before it counts."""

    error: type[DeploymentFailed]
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
