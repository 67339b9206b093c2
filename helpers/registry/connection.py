"""The registry's REST interface in plain JSON: every request is asked again while it may pass, refusals are explained.

Not through the platform's client: that cannot read an integer of ten digits or send back another tool's struct, and
importing it takes three seconds.
"""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from helpers.errors import InvalidInput, InvalidParameter, NotFound, RegistryFailed, RegistryUnreachable
from helpers.registry.address import INSIDE, TOKEN_HINT, refused_hint, resolve, silent_hint, token_for
from helpers.runtime import patience
from helpers.runtime.account import ca_bundle

if TYPE_CHECKING:
    import httpx

Json = dict[str, Any]
BUSY = (429, 502, 503, 504)
DOUBTFUL = (404, 500)  # what a registry answers whose database is away, even for ids that exist
ASKED_AGAIN = 2  # times, where such an answer comes from a registry that is well
CONNECT_SECONDS, READ_SECONDS = 5, 15  # a request that hangs is asked again several times within the patience
PAGE_SIZE = 1000
ROOT = "/api/model_registry"
INTERFACES = ("v1alpha3", "v1")  # OpenShift AI up to 3.5 has only the first; what we use is the same in both


def open_connection(address: str, timeout: float | None) -> Connection:
    """Return a connection to the registry. Raises InvalidParameter, RegistryUnreachable or RegistryFailed."""
    full = resolve(address)
    if full.startswith("https://") and not token_for(full):
        raise InvalidParameter(f"There is no token for the registry at {full}", do=TOKEN_HINT)
    connection = Connection(full, ssl.create_default_context(cafile=_ca_file(full)), timeout)
    if not any(connection.speaks(interface) for interface in INTERFACES):
        raise no_registry(full, f"it has none of {', '.join(INTERFACES)}")
    return connection


def _ca_file(address: str) -> str | None:
    """Return the certificates to trust for the address, None for the usual ones. Raises InvalidParameter."""
    path = os.environ.get("REGISTRY_CA_FILE")
    if path and not os.path.isfile(path):
        raise InvalidParameter(f"REGISTRY_CA_FILE names {path}, which is not there", do="Name the CA's PEM file")
    inside = ca_bundle() if INSIDE.search(address) else None
    return path or (str(inside) if inside else None)


class _Unwell(Exception):
    """The registry answered what it may not mean."""

    def __init__(self, reply: httpx.Response) -> None:
        super().__init__(f"HTTP {reply.status_code}: {reason(reply)}")
        self.reply = reply


class Connection:
    """A registry at one address; every request through it may be sent twice without harm.

    `timeout` is how long each request is asked again, in seconds, None for two minutes.
    """

    def __init__(self, address: str, trust: ssl.SSLContext, timeout: float | None) -> None:
        import httpx

        self.address, self._timeout, self.interface, self._token = address, timeout, "", ""
        # Each request has a connection of its own: nothing is left to close, or to find dead after a long measurement.
        self._http = httpx.Client(
            verify=trust,
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def speaks(self, interface: str) -> bool:
        """Return whether the registry has this version of the interface, which is used from now on if so."""
        reply = self._patiently("GET", f"{ROOT}/{interface}/registered_models", {"pageSize": 1})
        if reply.status_code not in (200, 404):
            raise refusal(reply, self.address)
        if reply.status_code == 200:
            self.interface = interface
        return reply.status_code == 200

    def get(self, *path: str) -> Json:
        """Return one object; raises NotFound."""
        return _body(self._sent("GET", path), self.address)

    def post(self, *path: str, body: Json) -> Json | None:
        """Create an object and return it, or None where there is one of that name."""
        reply = self._sent("POST", path, body=body)
        return None if reply.status_code == 409 else _body(reply, self.address)

    def patch(self, *path: str, body: Json) -> Json:
        """Change an object and return it; raises NotFound."""
        return _body(self._sent("PATCH", path, body=body), self.address)

    def pages(self, *path: str, **query: str) -> list[Json]:
        """Return all items of a list, ordered by id so that writes meanwhile do not shift the pages."""
        asked: dict[str, Any] = {"pageSize": PAGE_SIZE, "orderBy": "ID", **query}
        items: list[Json] = []
        while True:
            page = _body(self._sent("GET", path, asked), self.address)
            if not isinstance(page.get("items"), list):
                raise no_registry(self.address, "no list")
            items += page["items"]
            if not page.get("nextPageToken"):
                return items
            asked["nextPageToken"] = page["nextPageToken"]

    def _sent(
        self, method: str, path: tuple[str, ...], query: Json | None = None, body: Json | None = None
    ) -> httpx.Response:
        full = "/".join([ROOT, self.interface, *(quote(part, safe="") for part in path)])
        reply = self._patiently(method, full, query, body)
        if reply.status_code in (200, 201) or (reply.status_code == 409 and method == "POST"):
            return reply
        raise refusal(reply, self.address)

    def _patiently(self, method: str, path: str, query: Json | None = None, body: Json | None = None) -> httpx.Response:
        import httpx

        again = 0

        def ask() -> httpx.Response:
            nonlocal again
            reply = self._once(method, path, query, body)
            if reply.status_code in BUSY:
                raise _Unwell(reply)
            if self.interface and reply.status_code in DOUBTFUL and again < ASKED_AGAIN:
                health = self._once("GET", f"{ROOT}/{self.interface}/registered_models", {"pageSize": 1})
                again += health.status_code == 200
                raise _Unwell(reply if health.status_code == 200 else health)
            if not self.interface and reply.status_code == 500:
                raise _Unwell(reply)
            return reply

        try:
            return patience.patiently(
                ask,
                what=f"the registry at {self.address}",
                do=silent_hint(self.address),
                again=_passing,
                seconds=self._timeout,
            )
        except _Unwell as error:
            raise refusal(error.reply, self.address) from error
        except httpx.HTTPError as error:
            raise unanswered(error, self.address) from error

    def _once(self, method: str, path: str, query: Json | None, body: Json | None = None) -> httpx.Response:
        # Read for each request: Kubernetes renews a pod's token. Where it is gone for a moment, as while this machine's
        # registry is down, the last one counts. A redirect is not followed: the token would go along.
        self._token = token_for(self.address) or self._token
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return self._http.request(method, f"{self.address}{path}", params=query, json=body, headers=headers)


def _passing(error: Exception) -> bool:
    import httpx

    return isinstance(error, _Unwell | httpx.TransportError) and not patience.refused_tls(error)


def _body(reply: httpx.Response, address: str) -> Json:
    try:
        parsed = reply.json()
    except ValueError as error:
        raise no_registry(address, "no JSON") from error
    if not isinstance(parsed, dict):
        raise no_registry(address, "no object")
    return parsed


def reason(reply: httpx.Response) -> str:
    """Return what the registry, or the proxy before it, says in an answer that is no success; one line."""
    try:
        said = reply.json()["message"]
    except (ValueError, KeyError, TypeError):
        said = reply.text
    return " ".join(str(said).split())[:300]


def no_registry(address: str, found: str) -> RegistryUnreachable:
    """Return the error for something else at the address."""
    return RegistryUnreachable(f"What answers at {address} is no model registry ({found})", do="Check the address")


def unanswered(error: Exception, address: str) -> RegistryUnreachable:
    """Return the error where no answer came."""
    if patience.distrusted(error):
        return RegistryUnreachable(
            f"The certificate of the registry at {address} is not trusted: {patience.brief(error)}",
            do="Name the CA's file in REGISTRY_CA_FILE or SSL_CERT_FILE",
        )
    what = f"The registry at {address} does not answer ({type(error).__name__}: {patience.brief(error)})"
    return RegistryUnreachable(what, do=silent_hint(address))


def refusal(reply: httpx.Response, address: str) -> Exception:
    """Return the error for an answer that is no success."""
    status, said = reply.status_code, reason(reply)
    if status in (401, 403):
        why = "know this token" if status == 401 else "allow this token to read it"
        return RegistryUnreachable(
            f"The registry at {address} does not {why} (HTTP {status})", do=refused_hint(address, status)
        )
    if 300 <= status < 400:
        return RegistryUnreachable(f"The registry at {address} wants a browser's login (HTTP {status})", do=TOKEN_HINT)
    if status == 404:
        return NotFound(f"The registry at {address} does not have it: {said}", do="Check the id")
    if status in BUSY:
        what = f"The registry at {address} does not answer (HTTP {status}: {said})"
        return RegistryUnreachable(what, do=silent_hint(address))
    if status >= 500:
        do = "Read the log of the registry and of its database, then run this stage again"
        return RegistryFailed(f"The registry at {address} failed (HTTP {status}: {said})", do=do)
    return InvalidInput(f"The registry at {address} refused the request: {said}", do="Correct what was sent")
