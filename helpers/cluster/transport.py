"""One request to the Kubernetes API, with bounded retries: the official client's credentials, TLS and connections.

Requests go through the client's connection pool and not through its generated methods: those differ between the
versions 30 to 37 that OpenShift AI ships, and write the bodies of secrets to the debug log.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from helpers.errors import ClusterUnreachable

if TYPE_CHECKING:
    from kubernetes.client import ApiClient
    from tenacity import RetryCallState

BUSY = (429, 500, 502, 503, 504)
CONNECT_SECONDS, READ_SECONDS = 10, 30


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


class Transport:
    """Sends requests as one account to one cluster; raises ClusterUnreachable after `timeout` seconds of no answer."""

    def __init__(self, client: ApiClient, timeout: float) -> None:
        self._client, self._timeout = client, timeout

    @property
    def address(self) -> str:
        """Where the API is."""
        return str(self._client.configuration.host).rstrip("/")

    def send(
        self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None, content: str = ""
    ) -> Reply:
        """Send a request and return what is answered, an error status too. `content` is the body's content type."""
        from tenacity import Retrying, retry_if_exception, retry_if_result, stop_after_delay
        from tenacity.wait import wait_random_exponential
        from urllib3.exceptions import HTTPError, SSLError

        url = f"{self.address}{path}" + (f"?{urlencode(query)}" if query else "")
        retrying = Retrying(
            stop=stop_after_delay(self._timeout),
            wait=wait_random_exponential(multiplier=0.2, max=3),
            retry=retry_if_exception(_passing) | retry_if_result(lambda reply: reply.status in BUSY),
            retry_error_callback=_last,
        )
        try:
            reply = retrying(self._once, method, url, body, content or "application/json")
        except SSLError as error:
            raise self._untrusted(error) from error
        except HTTPError as error:
            raise self._silent(error) from error
        return reply._replace(attempts=retrying.statistics["attempt_number"])

    def _once(self, method: str, url: str, body: Any, content: str) -> Reply:
        from urllib3 import Timeout

        headers = {"Accept": "application/json"} | ({"Content-Type": content} if body is not None else {})
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

    def _untrusted(self, error: Exception) -> ClusterUnreachable:
        return ClusterUnreachable(
            f"The certificate of the cluster at {self.address} is not trusted: {error}",
            do="Give the kubeconfig the cluster's certificate-authority, or log in again with `oc login`",
        )

    def _silent(self, error: Exception) -> ClusterUnreachable:
        return ClusterUnreachable(
            f"The cluster at {self.address} does not answer within {self._timeout:g} s ({type(error).__name__})",
            do="Check the address in the kubeconfig, the network and that the cluster runs, then run this stage again",
        )


def _last(state: RetryCallState) -> Reply:
    """Return the last answer, or raise the last error, as they are."""
    assert state.outcome is not None
    return state.outcome.result()


def _passing(error: BaseException) -> bool:
    """Return whether asking again may help: not where a certificate is not trusted."""
    from urllib3.exceptions import HTTPError, SSLError

    return isinstance(error, HTTPError) and not isinstance(error, SSLError)
