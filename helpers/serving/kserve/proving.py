"""Wait for a deployment, and prove that what answers is what was selected."""

from __future__ import annotations

import math
from datetime import datetime
from typing import NamedTuple

from helpers.artifacts import Selection, now
from helpers.cluster import Cluster
from helpers.errors import DigestMismatch
from helpers.polling import wait_for
from helpers.serving import client
from helpers.serving.kserve.address import endpoint_url
from helpers.serving.kserve.answering import Answering
from helpers.serving.kserve.names import DIGEST, Object, annotation, service_name
from helpers.serving.kserve.rendering import inference_service
from helpers.serving.kserve.watching import Watch
from helpers.serving.settings import Settings

INTERVAL = 2.0


class Served(NamedTuple):
    """A deployment that answers, with what it says of itself."""

    service: Object
    pods: list[Object]
    url: str
    model: str
    max_model_len: int
    engine_version: str


def wait_until_served(cluster: Cluster, selection: Selection, settings: Settings) -> Served:
    """Return the deployment once it answers. Raises DeploymentFailed, EndpointUnreachable or DigestMismatch."""
    watch = Watch(cluster, service_name(selection), selection.label, settings)
    wait_for(
        Answering(watch), what=watch.name, do="", timeout=math.inf, interval=INTERVAL, progress=watch.say
    )  # the watch itself knows for how long
    service = cluster.get("InferenceService", watch.name) or {"metadata": {}, "spec": {}}
    if not is_selected(service, selection, settings):
        raise DigestMismatch(
            f"{cluster.namespace}/{watch.name} was changed while it came up: it does not serve {selection.label} from "
            f"{selection.uri} any more",
            do="Find out who changed it, then run this stage again",
        )
    url = endpoint_url(cluster, service)
    entry = client.model_entry(url, watch.name)
    length = int(entry.get("max_model_len") or settings.max_model_len)
    return Served(service, watch.pods(), url, str(entry["id"]), length, client.version(url))


def is_selected(service: Object, selection: Selection, settings: Settings) -> bool:
    """Return whether an InferenceService is about this version and takes the model from where it was registered."""
    given = (service["spec"].get("predictor") or {}).get("model") or {}
    wanted = inference_service(selection, settings, given.get("runtime", ""), now())
    meant = wanted["spec"]["predictor"]["model"]
    places = all(given.get(field) == meant.get(field) for field in ("storageUri", "storage", "args"))
    return places and annotation(service, DIGEST) == annotation(wanted, DIGEST)


def startup_seconds(service: Object) -> float | None:
    """Return the seconds from an InferenceService's creation until it was ready, None where it does not say both."""
    ready = [item for item in service["status"].get("conditions", []) if item["type"] == "Ready"]
    try:
        begin = datetime.fromisoformat(service["metadata"]["creationTimestamp"])
        seconds = (datetime.fromisoformat(ready[0]["lastTransitionTime"]) - begin).total_seconds()
    except (KeyError, IndexError, ValueError, TypeError):
        return None
    return seconds if seconds >= 0 else None
