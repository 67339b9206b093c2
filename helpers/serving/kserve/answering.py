"""From "ready" in the status to a server that answers here."""

from __future__ import annotations

import time

from helpers.errors import EndpointUnreachable
from helpers.serving import client
from helpers.serving.kserve.address import endpoint_url
from helpers.serving.kserve.watching import Watch

SILENT_SECONDS = 120  # for a Route, a name in the DNS or a proxy that comes a moment later
REFUSED_SECONDS = 15


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
