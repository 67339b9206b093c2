"""Ask Prometheus, on this machine or on a cluster behind Thanos, where each question names the project."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from helpers.errors import EndpointUnreachable, Forbidden, NotFound, StageFailed
from helpers.runtime.account import ca_bundle, in_pod, namespace, service_account_token
from helpers.runtime.workspace import home

THANOS = "https://thanos-querier.openshift-monitoring.svc:9092"  # answers about one project
FILE = "prometheus.json"  # where `make monitor` writes its address
TIMEOUT = 30.0
MOST_POINTS = 10_000  # Prometheus answers with no more than 11,000
Points = tuple[tuple[float, float], ...]
DO_VIEW = "Let the account get pods of metrics.k8s.io in this project: oc apply -k runtime-images/openshift/project"


@dataclass(frozen=True)
class Prometheus:
    """A server that speaks Prometheus' API; its token stays in `headers`, which are never printed."""

    url: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    certificates: Path | None = None

    @classmethod
    def found(cls, url: str = "", project: str = "") -> Prometheus:
        """Return the server at `url`, else the cluster's in a pod, else the one that `make monitor` started.

        In a pod the token is the account's own, which only services of the cluster get. Raises NotFound, or
        ClusterUnreachable without a token.
        """
        if in_pod():
            inside = not url or (urlsplit(url).scheme == "https" and (urlsplit(url).hostname or "").endswith(".svc"))
            token = {"Authorization": f"Bearer {service_account_token()}"} if inside else {}  # to nobody else
            return cls(url or THANOS, {"namespace": project or namespace()}, token, ca_bundle())
        return cls(url.rstrip("/") or local())

    def range(self, expression: str, start: datetime, end: datetime, step: float) -> Points:
        """Return the points of an expression that has one series, () where it had none. Raises as `_ask`."""
        step = max(step, (end - start).total_seconds() / MOST_POINTS)
        asked = {"start": f"{start.timestamp():.3f}", "end": f"{end.timestamp():.3f}", "step": f"{step:g}"}
        found = self._ask("query_range", {"query": expression, **asked})["result"]
        if len(found) > 1:
            raise StageFailed(f"{self.url} has {len(found)} series for {expression}", do="Report this: it wants one")
        values = found[0]["values"] if found else ()
        points = ((float(when), float(value)) for when, value in values)
        return tuple((when, value) for when, value in points if value == value)  # without NaN

    def series(self, matcher: str, start: datetime, end: datetime) -> list[dict[str, str]]:
        """Return the labels of the series that there were. Raises as `_ask`."""
        asked = {"match[]": matcher, "start": f"{start.timestamp():.3f}", "end": f"{end.timestamp():.3f}"}
        return list(self._ask("series", asked))

    def _ask(self, what: str, asked: Mapping[str, str]) -> Any:
        """Return the data of an answer. Raises EndpointUnreachable, Forbidden or StageFailed."""
        import httpx

        verify = ssl.create_default_context(cafile=self.certificates) if self.certificates else True
        try:
            answer = httpx.get(
                f"{self.url}/api/v1/{what}", params={**asked, **self.query}, headers=dict(self.headers),
                verify=verify, timeout=TIMEOUT,
            )  # fmt: skip
        except httpx.HTTPError as error:
            raise EndpointUnreachable(
                f"Prometheus at {self.url} does not answer: {error}",
                do="Start it (make monitor), or correct PROMETHEUS_URL",
            ) from error
        if answer.status_code in (401, 403):
            raise Forbidden(f"Prometheus at {self.url} refuses this account ({answer.status_code})", do=DO_VIEW)
        try:
            content = answer.json()
        except ValueError:
            content = {}
        if content.get("status") != "success":
            said = content.get("error") or f"status {answer.status_code}"
            raise StageFailed(f"Prometheus at {self.url} refused {asked}: {said}", do="Report this with the record")
        return content["data"]


def local() -> str:
    """Return the address that `make monitor` wrote down. Raises NotFound."""
    try:
        return str(json.loads((home() / "monitoring" / FILE).read_text())["address"])
    except (OSError, ValueError, KeyError) as error:
        raise NotFound("No Prometheus runs here", do="Start it (make monitor), or set PROMETHEUS_URL") from error
