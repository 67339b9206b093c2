"""Find out what answers at an address before the client is made: its own message for a wrong server is a bare 404."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from helpers.cluster.account import ca_bundle
from helpers.errors import InvalidParameter, RegistryUnreachable
from helpers.registry.access import INSIDE, TOKEN_HINT
from helpers.registry.address import resolve, token_for
from helpers.registry.connection import Connection, attempt, run_async

if TYPE_CHECKING:
    from model_registry import ModelRegistry

SPOKEN, NEWER = "v1alpha3", "v1"


def open_connection(address: str, author: str, timeout: float) -> Connection:
    """Return a connection to the registry; raises InvalidParameter or, after `timeout` seconds, RegistryUnreachable."""
    full = resolve(address)
    token = token_for(full)
    if full.startswith("https://") and not token:
        raise InvalidParameter(f"There is no token for the registry at {full}", do=TOKEN_HINT)
    attempt(lambda: _probe(full, token), full, timeout)
    client = attempt(lambda: _client(full, token, author), full, timeout)
    return Connection(full, client, timeout)


def ca_file(address: str) -> str | None:
    """Return the certificates to trust for the address, None for the usual ones. Raises InvalidParameter."""
    path = os.environ.get("REGISTRY_CA_FILE")
    if path and not os.path.isfile(path):
        raise InvalidParameter(f"REGISTRY_CA_FILE names {path}, which is not there", do="Name the CA's PEM file")
    inside = ca_bundle() if INSIDE.search(address) else None
    return path or (str(inside) if inside else None)


def _probe(address: str, token: str) -> None:
    from mr_openapi.exceptions import ApiException

    spoken = _status(address, SPOKEN, token)
    if spoken == 200:
        return
    if spoken == 404 and _status(address, NEWER, token) == 200:
        raise RegistryUnreachable(
            f"The registry at {address} serves only {NEWER}, and this client speaks {SPOKEN}",
            do="Install model-registry 0.3.15 or later in this environment",
        )
    if spoken in (401, 403, 429) or spoken >= 500:
        raise ApiException(status=spoken, body=f"HTTP {spoken}")
    if 300 <= spoken < 400:
        raise RegistryUnreachable(f"The registry at {address} wants a browser's login (HTTP {spoken})", do=TOKEN_HINT)
    raise RegistryUnreachable(f"What answers at {address} is no model registry (HTTP {spoken})", do="Check the address")


def _status(address: str, version: str, token: str) -> int:
    return run_async(_get(f"{address}/api/model_registry/{version}/registered_models?pageSize=1", token))


async def _get(url: str, token: str) -> int:
    import ssl

    import aiohttp

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    trust = ssl.create_default_context(cafile=ca_file(url)) if url.startswith("https://") else True
    timeout = aiohttp.ClientTimeout(total=10)
    async with (
        aiohttp.ClientSession(trust_env=True, timeout=timeout) as session,
        session.get(url, headers=headers, ssl=trust, allow_redirects=False) as response,
    ):
        return response.status


def _client(address: str, token: str, author: str) -> ModelRegistry:
    import logging
    import warnings

    from model_registry import ModelRegistry

    class Client(ModelRegistry):
        @staticmethod
        def _get_user_token(user_token_envvar: str | None = None) -> str | None:
            # The token was found above. The client would read the pod's own, unstripped, and send it over plain http.
            return None

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="User access token is missing")
        return Client(
            address,
            author=author,
            is_secure=address.startswith("https://"),
            user_token=token or None,
            custom_ca=ca_file(address),
            log_level=logging.ERROR,
            async_runner=run_async,
        )
