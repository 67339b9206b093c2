"""Where a ready InferenceService answers: its status does not always name the port."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlparse

from helpers.cluster import Cluster
from helpers.errors import EndpointUnreachable
from helpers.serving.kserve.names import Object

PORT = 8080  # of vLLM's container
EXPOSED = ("networking.kserve.io/visibility", "exposed")


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
