"""The few requests that a stage itself sends to an endpoint."""

from __future__ import annotations

import os
from typing import Any

from helpers.errors import EndpointUnreachable

KEY = "ENDPOINT_API_KEY"


def headers() -> dict[str, str]:
    """Return the authorization header, from the environment only."""
    key = os.environ.get(KEY, "").strip()
    return {"Authorization": f"Bearer {key}"} if key else {}


def healthy(url: str) -> bool:
    """Return whether the server says that it is ready."""
    import httpx

    try:
        return httpx.get(f"{url}/health", headers=headers(), timeout=5).is_success
    except httpx.HTTPError:
        return False


def model_entry(url: str, model: str) -> dict[str, Any]:
    """Return what /v1/models says of the served model. Raises EndpointUnreachable."""
    import httpx

    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=3), headers=headers(), timeout=20) as http:
            response = http.get(f"{url}/v1/models")
        response.raise_for_status()
        served: list[dict[str, Any]] = response.json()["data"]
    except httpx.HTTPStatusError as error:
        hint = f"Put the key into {KEY}" if error.response.status_code in (401, 403) else "Check the address"
        raise EndpointUnreachable(f"{url} answers {error.response.status_code} for /v1/models", do=hint) from error
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise EndpointUnreachable(f"{url} gives no list of models: {error}", do="Check that the server runs") from error
    for entry in served:
        if entry.get("id") == model:
            return entry
    names = ", ".join(str(entry.get("id")) for entry in served) or "nothing"
    raise EndpointUnreachable(
        f"{url} does not serve {model}, it serves {names}", do="Set ENDPOINT_MODEL to one of these"
    )


def version(url: str) -> str:
    """Return the engine's version, `unknown` where it does not say."""
    import httpx

    try:
        return str(httpx.get(f"{url}/version", headers=headers(), timeout=5).json()["version"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return "unknown"
