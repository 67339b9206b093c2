"""The few requests that a stage itself sends to an endpoint, and what opens it."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from helpers.artifacts import write_atomic
from helpers.cluster import ca_bundle, service_account_token
from helpers.errors import EndpointUnreachable
from helpers.workspace import home

KEY = "ENDPOINT_API_KEY"
TRUSTED = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")  # what httpx, aiohttp, urllib and requests read
Auth = Literal["key", "service-account"]


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
    """Return the authorization header, from the environment only."""
    key = os.environ.get(KEY, "").strip()
    return {"Authorization": f"Bearer {key}"} if key else {}


def health(url: str) -> int | str:
    """Return the status that the server's /health has, or why it does not answer."""
    import httpx

    try:
        return httpx.get(f"{url}/health", headers=headers(), timeout=5).status_code
    except httpx.HTTPError as error:
        return f"{type(error).__name__}: {error}"


def healthy(url: str) -> bool:
    """Return whether the server says that it is ready."""
    status = health(url)
    return isinstance(status, int) and 200 <= status < 300


def models(url: str) -> list[dict[str, Any]]:
    """Return what /v1/models says of all served models. Raises EndpointUnreachable."""
    import httpx

    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=3), headers=headers(), timeout=20) as http:
            response = http.get(f"{url}/v1/models")
        response.raise_for_status()
        return list(response.json()["data"])
    except httpx.HTTPStatusError as error:
        hint = f"Put the key into {KEY}" if error.response.status_code in (401, 403) else "Check the address"
        raise EndpointUnreachable(f"{url} answers {error.response.status_code} for /v1/models", do=hint) from error
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise EndpointUnreachable(f"{url} gives no list of models: {error}", do="Check that the server runs") from error


def model_entry(url: str, model: str) -> dict[str, Any]:
    """Return what /v1/models says of the served model. Raises EndpointUnreachable."""
    served = models(url)
    for entry in served:
        if entry.get("id") == model:
            return entry
    names = ", ".join(str(entry.get("id")) for entry in served) or "nothing"
    raise EndpointUnreachable(
        f"{url} does not serve {model}, it serves {names}", do="Set ENDPOINT_MODEL to one of these"
    )


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
