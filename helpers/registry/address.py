"""Where the registry is and which token it gets; the client trips over both when they are not in its exact form."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from helpers.cluster import account
from helpers.cluster.account import in_pod
from helpers.errors import InvalidParameter, RegistryUnreachable
from helpers.registry.discovery import address_of, only_address
from helpers.workspace import home

LOCAL, AUTO, SERVICE = "local", "auto", "service:"
PORTS = {"http": 80, "https": 443}
DO_ADDRESS = "Give the registry as auto, local, https://host, http://host:port or service:NAME"


def resolve(address: str) -> str:
    """Return the address as the client needs it: scheme and port before the path, no slash at the end.

    "local" is the registry on this machine: REGISTRY_ADDRESS_LOCAL, or what `make up` wrote into registry.json.
    "service:NAME" and "service:NAMESPACE/NAME" are looked up on the cluster; "auto" is the cluster's only one in a pod,
    the local one elsewhere. Raises InvalidParameter, or RegistryUnreachable where none was started or found.
    """
    given = address.strip()
    if given.startswith(SERVICE):
        return _normal(address_of(given.removeprefix(SERVICE)))
    if given == AUTO and in_pod():
        return _normal(only_address())
    return _normal(_local() if given in (LOCAL, AUTO) else given)


def _local() -> str:
    if address := os.environ.get("REGISTRY_ADDRESS_LOCAL"):
        return address
    path = home() / "registry.json"
    try:
        return str(json.loads(path.read_text())["address"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RegistryUnreachable(
            f"No local registry is known: {path} names none", do="Start it with `make up`, then run this stage again"
        ) from error


def _normal(address: str) -> str:
    try:
        parts = urlsplit(address.strip())
        port = parts.port
    except ValueError as error:
        raise InvalidParameter(f"Registry address {address!r}: {error}", do=DO_ADDRESS) from error
    if parts.scheme not in PORTS or not parts.hostname:
        raise InvalidParameter(f"Registry address {address!r} is not an http:// or https:// address", do=DO_ADDRESS)
    if parts.username or parts.query or parts.fragment:
        # Not echoed: it may hold a password.
        raise InvalidParameter(
            f"The registry address for {parts.hostname} has a user, query or fragment", do=DO_ADDRESS
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    path = parts.path.split("/api/model_registry")[0].rstrip("/")
    return urlunsplit((parts.scheme, f"{host}:{port or PORTS[parts.scheme]}", path, "", ""))


def token_for(address: str) -> str:
    """Return the bearer token, or "" where there is none; raises InvalidParameter for an unreadable file.

    REGISTRY_TOKEN, else the file named by REGISTRY_TOKEN_FILE, else the one named by KF_PIPELINES_SA_TOKEN_PATH, else
    the service account's own. The last two are the pod's identity, so they never go over plain http.
    """
    if token := os.environ.get("REGISTRY_TOKEN", "").strip():
        return token
    if path := os.environ.get("REGISTRY_TOKEN_FILE"):
        return _read(Path(path), "REGISTRY_TOKEN_FILE")
    path = os.environ.get("KF_PIPELINES_SA_TOKEN_PATH")
    if path and address.startswith("https://"):
        return _read(Path(path), "KF_PIPELINES_SA_TOKEN_PATH")
    if in_pod() and account.token_file() and address.startswith("https://"):
        return account.service_account_token()
    return ""


def _read(path: Path, variable: str) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise InvalidParameter(f"{variable} names {path}: {reason}", do="Name a file that holds the token") from error
