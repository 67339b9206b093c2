"""What a deployment is called, and how ours are told from others'."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlparse

from helpers.artifacts import Selection

Object = dict[str, Any]
MANAGED, OURS = "app.kubernetes.io/managed-by", "assay"
POD_OF = "serving.kserve.io/inferenceservice"
SELECTOR = f"{MANAGED}={OURS}"
DIGEST, SPECIFICATION, EXPIRES = "assay/digest", "assay/specification", "assay/expires"
RUN = "assay/run"  # a label: what a run deployed is found by it, from its creation on
LONGEST = 36  # KServe appends -kube-rbac-proxy-sar-config for a volume, whose name may have 63 characters
HASH = 10


def service_name(selection: Selection) -> str:
    """Return the InferenceService's name, which is the served model's name too: one for each version and each run.

    A load test needs its server for itself, so two runs at once serve the same version twice. A run that is
    retried, and the same notebook run again by hand, find their deployment again.
    """
    known = (selection.registry, selection.registered_model_id, selection.model_version_id, selection.run)
    identity = "\n".join([selection.name, selection.version, selection.digest, *known])
    readable = re.sub(r"[^a-z0-9]+", "-", f"{selection.name}-{selection.version}".lower()).strip("-")
    if not readable[:1].isalpha():  # the name of a Service begins with a letter
        readable = f"m-{readable}"
    return f"{readable[: LONGEST - HASH - 1].rstrip('-')}-{hashlib.sha256(identity.encode()).hexdigest()[:HASH]}"


def registry_label(address: str) -> str:
    """Return the registry's name from its address, as a label may hold it; "" where that is a number.

    A path says it (gateway/model-registry/NAME), or the host does (NAME-rest.domain, NAME.namespace.svc).
    """
    parsed = urlparse(address)
    path = parsed.path.strip("/").split("/")
    if path[0] != "model-registry" and re.fullmatch(r"[0-9.]+|.*:.*", parsed.hostname or ""):
        return ""
    name = path[-1] if path[0] == "model-registry" and len(path) > 1 else (parsed.hostname or address).split(".")[0]
    return re.sub(r"[^A-Za-z0-9]+", "-", name.removesuffix("-rest"))[:63].strip("-") or "registry"


def is_ours(item: Object) -> bool:
    """Return whether deploy_model made it."""
    return (item["metadata"].get("labels") or {}).get(MANAGED) == OURS


def annotation(item: Object, name: str) -> str:
    """Return an annotation, "" where it is missing."""
    return str((item["metadata"].get("annotations") or {}).get(name, ""))


def expires(item: Object) -> datetime | None:
    """Return when one of ours is past its lifetime, None where that cannot be read."""
    try:
        moment = datetime.fromisoformat(annotation(item, EXPIRES))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
