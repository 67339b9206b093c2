"""Why an image cannot be pulled, and whether the next attempt may do better."""

from __future__ import annotations

import re
from typing import Any

from helpers import errors
from helpers.serving.kserve.failures import MODEL_IMAGE, Failure
from helpers.serving.kserve.names import Object

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
