"""The few requests that a stage itself sends to an endpoint, and what opens it."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from helpers.artifacts import write_atomic
from helpers.errors import EndpointUnreachable
from helpers.runtime.account import ca_bundle, service_account_token
from helpers.runtime.environment import ENDPOINT_KEY, endpoint_key, masked
from helpers.runtime.workspace import home

if TYPE_CHECKING:
    import httpx

KEY = ENDPOINT_KEY
SECRET = "assay-endpoint"  # holds the key of an endpoint that exists under the same name, where that has one
TRUSTED = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")  # what httpx, aiohttp, urllib and requests read
Auth = Literal["key", "service-account"]
UNAUTHORIZED = (401, 403)
NO_SUCH_PATH = (404, 405, 501)
MOST_SAID = 200  # characters of what a server says
MOST_NAMES = 20
MODELS = "/v1/models"


@contextmanager
def access(auth: Auth) -> Iterator[None]:
    """Let this process and those that it starts reach the endpoint; nothing of it is written down or printed.

    With "service-account" the key is the pod's own token, unless ENDPOINT_API_KEY is set, and the certificates that a
    cluster signs for its own services are trusted beside the usual ones. Raises ClusterUnreachable without a token.
    """
    before = {name: os.environ.get(name) for name in (KEY, *TRUSTED)}
    try:
        os.environ.update(_environment() if auth == "service-account" else {})
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _environment() -> dict[str, str]:
    token = os.environ.get(KEY, "").strip() or service_account_token()
    if not (own := ca_bundle()):
        return {KEY: token}
    path = (home() / "ca-bundle.pem").resolve()
    if os.environ.get(TRUSTED[0]) == str(path):  # inside another access
        return {KEY: token}
    usual = next((os.environ[name] for name in TRUSTED if os.environ.get(name)), "") or _default_bundle()
    data = b"\n".join(Path(path).read_bytes() for path in (usual, own) if Path(path).is_file())
    return {KEY: token} | dict.fromkeys(TRUSTED, str(write_atomic(path, data)))


def _default_bundle() -> str:
    import certifi

    return ssl.get_default_verify_paths().cafile or certifi.where()


def headers() -> dict[str, str]:
    """Return the authorization header."""
    key = endpoint_key()
    return {"Authorization": f"Bearer {key}"} if key else {}


class Answer(NamedTuple):
    """What a server answered, refusals included."""

    path: str
    status: int
    body: Any  # None where it is no JSON
    said: str  # why it refuses, in its own words and without a key; "" where it does not say


def post(
    url: str, path: str, body: Mapping[str, Any], timeout: float = 120, http: httpx.Client | None = None
) -> Answer:
    """Return what the server answers to one request. Raises EndpointUnreachable where it does not answer."""
    import httpx

    try:
        response = (http or httpx).post(f"{url}{path}", json=body, headers=headers(), timeout=timeout)
    except httpx.HTTPError as error:
        what = f"{url} does not answer for {path} ({type(error).__name__}: {error})"
        raise EndpointUnreachable(what, do="Check that the server runs") from error
    return _answer(path, response)


def _answer(path: str, response: httpx.Response) -> Answer:
    try:
        body = response.json()
    except ValueError:
        body = None
    return Answer(path, response.status_code, body, "" if response.is_success else _said(body, response.text))


def _said(body: Any, text: str) -> str:
    """Return the message of an error in the forms that servers give it, in one line."""
    found = body
    for name in ("error", "message", "detail"):
        found = found[name] if isinstance(found, dict) and found.get(name) else found
    words = " ".join(masked(found if isinstance(found, str) else text).split())
    return words if len(words) <= MOST_SAID else f"{words[: MOST_SAID - 1]}…"


def wrong_key(url: str, answer: Answer) -> EndpointUnreachable:
    """Return the error of a server that does not let this key in."""
    sent = "the key that it was sent" if headers() else "a request without a key"
    return EndpointUnreachable(
        f"{url} refuses {sent}: {answer.status} for {answer.path} {answer.said}".rstrip(),
        do=f"Put its key into the environment variable {KEY}",
    )


def health(url: str) -> int | str:
    """Return the status that the server's /health has, or why it does not answer."""
    import httpx

    try:
        return httpx.get(f"{url}/health", headers=headers(), timeout=5).status_code
    except httpx.HTTPError as error:
        return f"{type(error).__name__}: {error}"


def healthy(url: str) -> bool:
    """Return whether the server says that it is ready; one without /health is, where it has its list of models."""
    status = health(url)
    if status in (*UNAUTHORIZED, *NO_SUCH_PATH):
        try:
            models(url)
        except EndpointUnreachable:
            return False
        return True
    return isinstance(status, int) and 200 <= status < 300


def models(url: str) -> list[dict[str, Any]]:
    """Return what /v1/models says of all served models, [] where the server has no such list.

    Raises EndpointUnreachable.
    """
    import httpx

    try:
        response = httpx.get(f"{url}{MODELS}", headers=headers(), timeout=20)
        if response.status_code in UNAUTHORIZED:
            raise wrong_key(url, _answer(MODELS, response))
        if response.status_code in NO_SUCH_PATH:
            return []
        response.raise_for_status()
        return [entry for entry in response.json()["data"] if isinstance(entry, dict)]
    except httpx.HTTPStatusError as error:
        what = f"{url} answers {error.response.status_code} for {MODELS}"
        raise EndpointUnreachable(what, do="Check the address") from error
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise EndpointUnreachable(f"{url} gives no list of models: {error}", do="Check that the server runs") from error


def model_entry(url: str, model: str) -> dict[str, Any]:
    """Return what /v1/models says of the served model. Raises EndpointUnreachable."""
    served = models(url)
    for entry in served:
        if entry.get("id") == model:
            return entry
    raise EndpointUnreachable(
        f"{url} does not serve {model}, it serves {listed(served)}", do="Set ENDPOINT_MODEL to one of these"
    )


def listed(served: list[dict[str, Any]]) -> str:
    """Return the names of served models as a message has them."""
    names = [str(entry.get("id")) for entry in served]
    return f"{', '.join(names[:MOST_NAMES])}{' and others' * (len(names) > MOST_NAMES)}" or "nothing"


def metrics(url: str) -> str:
    """Return what /metrics says, in Prometheus' text format; "" where the server shows none."""
    import httpx

    try:
        response = httpx.get(f"{url}/metrics", headers=headers(), timeout=10)
        return response.text if response.is_success else ""
    except httpx.HTTPError:
        return ""


def version(url: str) -> str:
    """Return the engine's version, `unknown` where it does not say."""
    import httpx

    try:
        return str(httpx.get(f"{url}/version", headers=headers(), timeout=5).json()["version"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return "unknown"
