"""One request to the Kubernetes API, asked again while it may pass: the official client's credentials and TLS.

Requests go through the client's connection pool and not through its generated methods: those differ between the
versions 30 to 37 that OpenShift AI ships, and write the bodies of secrets to the debug log.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from helpers.errors import ClusterUnreachable
from helpers.runtime import patience

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

BUSY = (429, 500, 502, 503, 504)
CONNECT_SECONDS, READ_SECONDS = 5, 15  # a request that hangs is asked again several times within the patience
DO = "Check the address in the kubeconfig, the network and that the cluster runs, then run this stage again"


class Reply(NamedTuple):
    """What the API answered, and how many times it was asked."""

    status: int
    text: str
    attempts: int = 1

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object, or {} where the answer is none (a proxy's page, a bare 404)."""
        try:
            parsed = json.loads(self.text)
        except ValueError:
            return {}
        return parsed if isinstance(parsed, dict) else {}


class _Busy(Exception):
    """The API answered that it cannot answer now."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"HTTP {reply.status} {reply.body.get('message', '')}".strip())
        self.reply = reply


class Transport:
    """Sends requests as one account to one cluster; `timeout` is the patience in seconds, None the usual one."""

    def __init__(self, client: ApiClient, timeout: float | None) -> None:
        self._client, self._timeout = client, timeout

    @property
    def address(self) -> str:
        """Where the API is."""
        return str(self._client.configuration.host).rstrip("/")

    def send(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> Reply:
        """Send a request and return what is answered, an error status too.

        Raises ClusterUnreachable where the patience is over, or at once where the certificate is not trusted.
        """
        from urllib3.exceptions import HTTPError

        url = f"{self.address}{path}" + (f"?{urlencode(query)}" if query else "")
        attempts = 0

        def once() -> Reply:
            nonlocal attempts
            attempts += 1
            reply = self._once(method, url, body)
            if reply.status in BUSY:
                raise _Busy(reply)
            return reply

        server = f"the Kubernetes API at {self.address}"
        try:
            reply = patience.patiently(once, what=server, do=DO, again=_passing, seconds=self._timeout)
        except _Busy as busy:
            reply = busy.reply
        except HTTPError as error:
            raise self._explained(error) from error
        return reply._replace(attempts=attempts)

    def _once(self, method: str, url: str, body: Any) -> Reply:
        from urllib3 import Timeout

        headers = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if body is not None else {})
        for setting in self._client.configuration.auth_settings().values():
            headers[setting["key"]] = setting["value"]
        response = self._client.rest_client.pool_manager.request(
            method,
            url,
            headers=headers,
            body=None if body is None else json.dumps(body),
            timeout=Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            retries=False,  # also: a redirect is not followed, and the token stays with whom it was meant for
        )
        return Reply(response.status, response.data.decode("utf-8", "replace"))

    def _explained(self, error: Exception) -> ClusterUnreachable:
        if patience.distrusted(error):
            return ClusterUnreachable(
                f"The certificate of the cluster at {self.address} is not trusted: {patience.brief(error)}",
                do="Give the kubeconfig the cluster's certificate-authority, or log in again with `oc login`",
            )
        return ClusterUnreachable(
            f"The cluster at {self.address} does not answer ({type(error).__name__}: {patience.brief(error)})", do=DO
        )


def _passing(error: Exception) -> bool:
    """Return whether asking again may help: not where TLS fails for a reason that stays."""
    from urllib3.exceptions import HTTPError

    return isinstance(error, _Busy | HTTPError) and not patience.refused_tls(error)
