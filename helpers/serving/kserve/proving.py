"""Wait for a deployment, and prove that what answers is what was selected."""

from __future__ import annotations

import math
import time
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlparse

from helpers.artifacts import Selection, now
from helpers.cluster import Cluster
from helpers.errors import DigestMismatch, EndpointUnreachable, InvalidDeployment
from helpers.runtime.polling import wait_for
from helpers.serving import arguments, client, histograms
from helpers.serving.kserve.failures import SERVER
from helpers.serving.kserve.identity import serving_pod
from helpers.serving.kserve.names import DIGEST, Object, annotation, service_name
from helpers.serving.kserve.pods import image_of
from helpers.serving.kserve.rendering import MODEL, inference_service, server_command
from helpers.serving.kserve.watching import Watch
from helpers.serving.settings import Settings

INTERVAL = 2.0
PORT = 8080  # of vLLM's container
EXPOSED = ("networking.kserve.io/visibility", "exposed")
SILENT_SECONDS = 120  # for a Route, a name in the DNS or a proxy that comes a moment later
REFUSED_SECONDS = 15
OWN = {  # arguments of runtimes, and the edges of histograms, which change no answer
    "port": r"\d+", "model": MODEL, "served-model-name": r"\S+", "max-model-len": r"\d+",
    histograms.OPTION.removeprefix("--"): r'\{("[a-z_]+":\[[\d.,e+-]+\],?)+\}',
}  # fmt: skip


class Answering:
    """True once the deployment is ready and its /health says so; a Ready condition may only mean an open port."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self._ready_at = 0.0

    def __call__(self) -> bool:
        """Look once. Raises DeploymentFailed or EndpointUnreachable."""
        if not self.watch.ready():
            self._ready_at = 0.0
            return False
        cluster, name = self.watch.cluster, self.watch.name
        self._ready_at = self._ready_at or time.monotonic()
        url = endpoint_url(cluster, cluster.get("InferenceService", name) or {"metadata": {"name": name}})
        status = client.health(url)
        if isinstance(status, int) and 200 <= status < 300:
            return True
        self.watch.progress = f"ready, and {url}/health answers {status}"
        waited = time.monotonic() - self._ready_at
        if status in (401, 403) and waited >= REFUSED_SECONDS:
            raise EndpointUnreachable(
                f"{url} does not accept this account's token ({status})",
                do=f"Let it `get` inferenceservices in {cluster.namespace}, or put a token that may into {client.KEY}",
            )
        if waited >= SILENT_SECONDS:
            raise EndpointUnreachable(
                f"{url} is ready and does not answer here: {status}",
                do="Check NetworkPolicies; from outside the cluster set ACCESS to exposed",
            )
        return False


def endpoint_url(cluster: Cluster, service: Object) -> str:
    """Return the base address without a trailing slash. Raises EndpointUnreachable where there is none.

    A Route's address and one with a port are taken as they are. Without a port it depends on the Service: a headless
    one has none of its own, so the container's counts, any other forwards port 80.
    """
    status, name = service.get("status") or {}, service["metadata"]["name"]
    exposed = (service["metadata"].get("labels") or {}).get(EXPOSED[0]) == EXPOSED[1]
    inside = (status.get("address") or {}).get("url")
    url = str((status.get("url") if exposed else inside or status.get("url")) or "").rstrip("/")
    if not url:
        raise EndpointUnreachable(
            f"{cluster.namespace}/{name} is ready and says no address",
            do="Look at its status, or remove it and try again",
        )
    parsed = urlparse(url)
    if exposed or parsed.scheme != "http" or parsed.port:
        return url
    port = service_port(cluster.get("Service", f"{name}-predictor"))
    return url if port == 80 else f"{url}:{port}"


def service_port(service: Object | None) -> int:
    """Return the port under which a Service's name leads to the server."""
    spec: dict[str, Any] = (service or {}).get("spec") or {}
    if spec.get("clusterIP") != "None":
        return 80
    ports: list[dict[str, Any]] = spec.get("ports") or []
    target = ports[0].get("targetPort") if ports else None
    return target if isinstance(target, int) else PORT


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
    pods = watch.pods()
    _require_as_meant(f"{cluster.namespace}/{watch.name}", serving_pod(pods), selection)
    url = endpoint_url(cluster, service)
    entry = client.model_entry(url, watch.name)
    length = int(entry.get("max_model_len") or settings.max_model_len)
    return Served(service, pods, url, str(entry["id"]), length, client.version(url))


def is_selected(service: Object, selection: Selection, settings: Settings) -> bool:
    """Return whether an InferenceService is about this version and takes the model from where it was registered."""
    given = (service["spec"].get("predictor") or {}).get("model") or {}
    wanted = inference_service(selection, settings, given.get("runtime", ""), now())
    meant = wanted["spec"]["predictor"]["model"]
    places = all(given.get(field) == meant.get(field) for field in ("storageUri", "storage", "command", "args"))
    return places and annotation(service, DIGEST) == annotation(wanted, DIGEST)


def _require_as_meant(where: str, pod: Object | None, selection: Selection) -> None:
    """Raise InvalidDeployment where a pod's image cannot be recorded, or it runs vLLM otherwise than it should.

    A ServingRuntime that somebody else made, or a webhook, adds arguments of its own, and can replace the command.
    """
    do = "Take another SERVING_RUNTIME, or leave it at auto"
    containers: list[Object] = ((pod or {}).get("spec") or {}).get("containers") or []
    container = next((each for each in containers if each.get("name") == SERVER), {})
    if not (pod and image_of(pod)):
        raise InvalidDeployment(f"No pod of {where} tells the digest of the image that it runs", do=do)
    if container.get("command") != server_command(selection):
        raise InvalidDeployment(f"The pod of {where} does not check the model's files before it serves them", do=do)
    try:
        arguments.check(container.get("args") or [], OWN)
    except ValueError as error:
        raise InvalidDeployment(
            f"The pod of {where} runs vLLM with what its ServingRuntime adds: {error}", do=do
        ) from error


def startup_seconds(service: Object) -> float | None:
    """Return the seconds from an InferenceService's creation until it was ready, None where it does not say both."""
    ready = [item for item in service["status"].get("conditions", []) if item["type"] == "Ready"]
    try:
        begin = datetime.fromisoformat(service["metadata"]["creationTimestamp"])
        seconds = (datetime.fromisoformat(ready[0]["lastTransitionTime"]) - begin).total_seconds()
    except (KeyError, IndexError, ValueError, TypeError):
        return None
    return seconds if seconds >= 0 else None
