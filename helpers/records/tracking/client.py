"""MLflow's REST interface, as far as one run needs it: version 2.0, which every server from 3.0 on speaks.

OpenShift AI's server wants the project's name in a header and takes the pod's own token.
"""

from __future__ import annotations

import json
import os
import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from helpers.errors import StageFailed
from helpers.runtime import account, patience
from helpers.runtime.environment import MLFLOW_TOKEN

PRINTABLE = re.compile(r"[\x21-\x7e]+")

if TYPE_CHECKING:
    import httpx

API, ARTIFACTS = "api/2.0/mlflow", "api/2.0/mlflow-artifacts/artifacts"
TOKEN, WORKSPACE, AUTH = MLFLOW_TOKEN, "MLFLOW_WORKSPACE", "MLFLOW_TRACKING_AUTH"
CERTIFICATES = "MLFLOW_TRACKING_SERVER_CERT_PATH"
NAMESPACED = "kubernetes-namespaced"  # what OpenShift AI sets: the pod's account, in the pod's project
SECONDS = 30.0  # so long a server that is away is asked again: the record is safe elsewhere
READ_SECONDS = 120.0  # of one request: a large artifact
BUSY = (429, 502, 503, 504)
DO = "See whether it runs, then `python -m helpers.registry track RECORD`"
Json = dict[str, Any]


class Refused(StageFailed):
    """The MLflow server did not do what it was asked; `code` is its own word for why."""

    def __init__(self, what: str, code: str = "") -> None:
        super().__init__(what, do=DO)
        self.code = code


class _Busy(Exception):
    pass


class Client:
    """A connection to one server. Every method raises Refused."""

    def __init__(self, http: httpx.Client, uri: str) -> None:
        self._http, self.uri = http, uri

    def get(self, path: str, **query: str) -> Json:
        """Ask for something."""
        return self._json(self._send("GET", f"{API}/{path}", params=query))

    def post(self, path: str, **body: Any) -> Json:
        """Say something."""
        return self._json(self._send("POST", f"{API}/{path}", json=body))

    def put_file(self, run: Json, name: str, content: bytes) -> None:
        """Upload an artifact of a run through the server, which keeps it where it likes."""
        place = urlsplit(str(run["info"]["artifact_uri"]))
        if place.scheme != "mlflow-artifacts":
            raise Refused(f"{self.uri} keeps artifacts in {place.scheme or 'a folder'} itself and takes none")
        self._send("PUT", f"{ARTIFACTS}/{quote(place.path.strip('/'))}/{quote(name)}", content=content)

    def _send(self, method: str, path: str, **sent: Any) -> httpx.Response:
        import httpx

        def ask() -> httpx.Response:
            reply = self._http.request(method, f"{self.uri}/{path}", **sent)
            if reply.status_code in BUSY:
                raise _Busy(f"HTTP {reply.status_code}")
            return reply

        name = f"MLflow at {self.uri}"
        try:
            reply = patience.patiently(ask, what=name, do=DO, again=_passing, seconds=SECONDS)
        except (_Busy, httpx.HTTPError, httpx.InvalidURL) as error:
            raise Refused(f"{name} does not answer ({type(error).__name__}: {patience.brief(error)})") from error
        if reply.status_code in (401, 403):
            raise Refused(
                f"{name} does not let this account in (HTTP {reply.status_code}): check {TOKEN} and {WORKSPACE}"
            )
        if not reply.is_success:
            code, said = _said(reply)
            raise Refused(f"{name} refused {path.rpartition(API)[2]} (HTTP {reply.status_code}: {said})", code)
        return reply

    def _json(self, reply: httpx.Response) -> Json:
        try:
            found = reply.json()
        except ValueError as error:
            raise Refused(f"What answers at {self.uri} is no MLflow server") from error
        return found if isinstance(found, dict) else {}


@contextmanager
def connect(uri: str) -> Iterator[Client]:
    """Yield a client of the server; raises Refused where certificates or the token cannot be read."""
    import httpx

    with httpx.Client(
        verify=_trust(uri), headers=_headers(uri), timeout=httpx.Timeout(READ_SECONDS, connect=10)
    ) as http:
        yield Client(http, uri)


def _headers(uri: str) -> dict[str, str]:
    namespaced = os.environ.get(AUTH) == NAMESPACED
    token = os.environ.get(TOKEN, "").strip()
    if not token and namespaced and uri.startswith("https://"):  # the pod's own identity never goes over plain http
        token = account.service_account_token()
    if token and not PRINTABLE.fullmatch(token):
        raise Refused(f"{TOKEN} holds blanks, line breaks or signs that no header takes: give the token alone")
    workspace = os.environ.get(WORKSPACE, "").strip() or (account.namespace() if namespaced else "")
    given = {"Authorization": f"Bearer {token}" if token else "", "X-MLFLOW-WORKSPACE": workspace}
    return {name: value for name, value in given.items() if value}


def _trust(uri: str) -> ssl.SSLContext:
    path = os.environ.get(CERTIFICATES, "").strip()
    inside = account.ca_bundle() if ".svc" in (urlsplit(uri).hostname or "") else None
    try:
        return ssl.create_default_context(cafile=path or (str(inside) if inside else None))
    except OSError as error:
        raise Refused(f"{CERTIFICATES} names {path}, which cannot be read") from error


def _passing(error: Exception) -> bool:
    import httpx

    return isinstance(error, _Busy | httpx.TransportError) and not patience.refused_tls(error)


def _said(reply: httpx.Response) -> tuple[str, str]:
    try:
        found: Mapping[str, Any] = json.loads(reply.text)
        return str(found.get("error_code", "")), " ".join(str(found.get("message", "")).split())[:200]
    except (ValueError, AttributeError):
        return "", " ".join(reply.text.split())[:200]


def pairs(values: Mapping[str, Any]) -> Sequence[Json]:
    """Return a mapping as MLflow writes tags and parameters."""
    return [{"key": key, "value": str(value)} for key, value in values.items()]
