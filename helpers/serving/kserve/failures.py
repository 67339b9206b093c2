"""What can go wrong on a cluster, as errors that say what to do."""

from __future__ import annotations

import re
from typing import NamedTuple

from helpers import errors
from helpers.errors import DeploymentFailed

SERVER = "kserve-container"
MODEL_IMAGE = ("modelcar", "modelcar-init")
DO_FREE = "Free what nobody uses any more (EXPIRED_ONLY), ask for less in RESOURCES, or try again later"
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


def unpullable(pod: str, container: str, image: str, reason: str, message: str) -> Failure:
    """Return the failure of an image; the first attempt may still be followed by a better one."""
    do = "Check the image in the ServingRuntime, and that the project has a pull secret for it"
    if container in MODEL_IMAGE:
        do = "Check that the cluster reaches the model's registry, and name its pull secret in CONNECTION"
    what = f"the image {image or 'of ' + container} cannot be pulled ({reason}: {message})"
    hiccup = reason == "ErrImagePull" and not re.search(r"(?i)unauthorized|denied|not found|unknown|invalid", message)
    return Failure(errors.ImageUnavailable, what, do, 20 if hiccup else 0, pod)


def unschedulable(pod: str, message: str) -> Failure:
    """Return the failure of a pod for which there is no node; nodes may be about to become free."""
    if re.search(r"(?i)persistentvolumeclaim|volume", message):
        return Failure(errors.ModelUnavailable, f"no node can mount its volume ({message})", "Check the claim", 20, pod)
    do = DO_FREE
    if tainted := re.search(r"untolerated taint\(?s?\)? \{([^:}]+)", message):
        do = f"Add {tainted[1]} to TOLERATIONS if the server may run there. {DO_FREE}"
    short = re.findall(r"Insufficient ([\w./-]+)", message)
    missing = f"no node has enough free {' and '.join(dict.fromkeys(short))}" if short else "no node takes its pod"
    return Failure(errors.NotSchedulable, f"{missing} ({message})", do, 20, pod)


def not_admitted(message: str) -> Failure:
    """Return the failure of pods that are not even made."""
    if "exceeded quota" in message:
        do = "Ask for less in RESOURCES, remove what the project no longer needs, or ask for a larger ResourceQuota"
    elif "security context constraint" in message:
        do = "Take a SERVING_RUNTIME that fits the project's security context constraints, or ask its administrator"
    elif "storage key" in message or "storage secret" in message:
        return Failure(errors.ModelUnavailable, f"its pod is refused ({message})", DO_CONNECTION, 10)
    else:
        do = "Correct what the message names, or ask the project's administrator"
    return Failure(errors.NotAdmitted, f"its pod is refused ({message})", do, 5)


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
    what = f"{container} ends again and again (exit code {code}, {reason})"
    return Failure(errors.ServerCrashed, what, "Read the log lines below", 0, pod, container)


def misconfigured(pod: str, container: str, reason: str, message: str) -> Failure:
    """Return the failure of a container that cannot be made."""
    what = f"{container} cannot be made ({reason}: {message})"
    do = "Create the secret, ConfigMap or key that the message names, or choose another SERVING_RUNTIME"
    return Failure(errors.InvalidDeployment, what, do, 5, pod)


def invalid(reason: str, message: str) -> Failure:
    """Return the failure of an InferenceService that KServe does not accept."""
    by_reason = {
        "RuntimeNotRecognized": "Create that ServingRuntime in the project, or name another one in SERVING_RUNTIME",
        "NoSupportingRuntime": "Name a ServingRuntime that supports the format vLLM in SERVING_RUNTIME",
        "RuntimeDisabled": "Enable that ServingRuntime, or name another one in SERVING_RUNTIME",
    }
    do = by_reason.get(reason, "Correct SERVING_RUNTIME, RESOURCES, TOLERATIONS or ENGINE_ARGS")
    return Failure(errors.InvalidDeployment, f"KServe does not accept it ({reason}: {message})", do)


def blocked(location: str, reason: str, message: str) -> Failure:
    """Return the failure that KServe itself tells, where no pod explains it within a while."""
    what, patience = f"{location or 'the server'} could not load the model ({reason}: {message})", 20
    if location == "storage-initializer":
        return Failure(errors.ModelUnavailable, what, DO_CONNECTION, patience)
    return Failure(errors.ModelNotLoaded, what, "Check the weights, the tokenizer and ENGINE_ARGS", patience)


def stopped(message: str) -> Failure:
    """Return the failure of a deployment that somebody stopped or removed."""
    return Failure(errors.DeploymentStopped, message, "Ask who did, then run this stage again")
