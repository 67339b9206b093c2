"""Where the registry is and which token it gets; the client trips over both when they are not in its exact form."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from helpers.errors import Forbidden, InvalidParameter, RegistryUnreachable
from helpers.runtime import account
from helpers.runtime.account import in_pod, namespace
from helpers.runtime.workspace import home

if TYPE_CHECKING:
    from helpers.cluster import Cluster

LOCAL, AUTO, SERVICE = "local", "auto", "service:"
LOCAL_FILE, LOCAL_TOKEN = "registry.json", "registry.token"  # where `make up` says address and token
PORTS = {"http": 80, "https": 443}
NAMED = re.compile(r"([a-z0-9]([-a-z0-9]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9]*[a-z0-9])?")  # a Service
DO_ADDRESS = "Give the registry as auto, local, https://host, http://host:port or service:NAME"
ANNOTATION = "routing.opendatahub.io/external-address-rest"
DO_GIVE = "Set REGISTRY to its address, https://…, or to service:NAME (`oc get services -n rhoai-model-registries`)"
NAMESPACES = ("rhoai-model-registries", "odh-model-registries")
TOKEN_HINT = (
    "Set REGISTRY_TOKEN or REGISTRY_TOKEN_FILE to a token whose owner may `get` the registry's Service, "
    "for example that of `oc whoami -t`"
)
# The operator's two forms of an outside address: NAME-rest.DOMAIN, and GATEWAY/model-registry/NAME from 3.5 on.
OUTSIDE = re.compile(r"https://(?P<host>[a-z0-9-]+)-rest\.|https://[^/]+/model-registry/(?P<path>[a-z0-9-]+)")
INSIDE = re.compile(r"://[^/]+\.svc(\.cluster\.local)?(:|/|$)")


def binding(name: str, place: str, project: str) -> str:
    """Return how an administrator lets a project's service accounts use a registry."""
    return (
        f"Ask the registry's administrator for the RoleBinding: `oc -n {place} create rolebinding "
        f"registry-user-{name}-{project} --role=registry-user-{name} --group=system:serviceaccounts:{project}`"
    )


def refused_hint(address: str, status: int) -> str:
    """Return what to do where the registry answered 401 or 403."""
    found = OUTSIDE.match(address)
    name = (found["host"] or found["path"]) if found else "NAME"
    if status == 403 and in_pod():
        return binding(name, NAMESPACES[0], namespace())
    return TOKEN_HINT


def silent_hint(address: str) -> str:
    """Return what to do where nothing answered."""
    if INSIDE.search(address):
        why = "a NetworkPolicy keeps a project's pods from the inside one"
        return f"Use its outside address, https://… or service:NAME: {why}"
    return "Check the address and that the registry runs (`make up` starts the local one), then run this stage again"


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


def check_form(address: str) -> None:
    """Refuse what names no registry, without looking for one. Raises InvalidParameter."""
    given = address.strip()
    if given.startswith(SERVICE):
        if not NAMED.fullmatch(given.removeprefix(SERVICE).strip()):
            raise InvalidParameter(f"{address!r} names no Service", do=DO_ADDRESS)
    elif given not in (LOCAL, AUTO):
        _normal(given)


def _local() -> str:
    if address := os.environ.get("REGISTRY_ADDRESS_LOCAL"):
        return address
    path = home() / LOCAL_FILE
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

    The registry of this machine has its own, which goes nowhere else. For others: REGISTRY_TOKEN, else the file named
    by REGISTRY_TOKEN_FILE, else the one named by KF_PIPELINES_SA_TOKEN_PATH, else the service account's own. The last
    two are the pod's identity, so they never go over plain http.
    """
    if _is_local(address):
        return _read(home() / LOCAL_TOKEN, LOCAL_FILE)
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


def _is_local(address: str) -> bool:
    """Return whether this is the registry that `make up` started, with a token."""
    try:
        known = str(json.loads((home() / LOCAL_FILE).read_text())["address"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return known == address and (home() / LOCAL_TOKEN).is_file()


def _read(path: Path, variable: str) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise InvalidParameter(f"{variable} names {path}: {reason}", do="Name a file that holds the token") from error


def address_of(service: str) -> str:
    """Return the address of the registry whose Service is `NAME` or `NAMESPACE/NAME`.

    Raises InvalidParameter, RegistryUnreachable or ClusterUnreachable.
    """
    from helpers.cluster import connect

    namespace, _, name = service.strip().rpartition("/")
    if not name:
        raise InvalidParameter("REGISTRY names no Service after `service:`", do="Give service:NAME")
    cluster = connect()
    places = (namespace,) if namespace else NAMESPACES
    refused = []
    for place in places:
        try:
            if found := cluster.get("Service", name, namespace=place):
                return _outside(found)
        except Forbidden as error:
            refused.append((place, error.what))
    for place, why in refused:
        do = binding(name, place, cluster.namespace)
        raise RegistryUnreachable(f"The registry {name} cannot be looked up: {why}", do=do)
    raise RegistryUnreachable(f"There is no Service {name} in {' or '.join(places)}", do=DO_GIVE)


def only_address() -> str:
    """Return the address of the one registry on the cluster, for `auto` in a pod.

    Raises RegistryUnreachable where there is none or it may not be seen, InvalidParameter where there are several.
    """
    from helpers.cluster import connect

    cluster = connect()
    found: dict[str, str] = {}
    refused: Forbidden | None = None
    for place in NAMESPACES:
        try:
            found |= _registries(cluster, place)
        except Forbidden as error:
            refused = refused or error
    if len(found) > 1:
        names = ", ".join(f"service:{name}" for name in sorted(found))
        raise InvalidParameter("The cluster has several model registries", do=f"Set REGISTRY to one of {names}")
    if found:
        return next(iter(found.values()))
    why = refused.what if refused else "no Service there says an outside address"
    raise RegistryUnreachable(f"No model registry was found in {' or '.join(NAMESPACES)}: {why}", do=DO_GIVE)


def _registries(cluster: Cluster, namespace: str) -> dict[str, str]:
    services = cluster.list("Service", namespace=namespace)
    marked = [item for item in services if ANNOTATION in (item["metadata"].get("annotations") or {})]
    return {f"{namespace}/{item['metadata']['name']}": _outside(item) for item in marked}


def _outside(service: dict) -> str:
    metadata = service["metadata"]
    if address := (metadata.get("annotations") or {}).get(ANNOTATION, "").strip():
        return address if "://" in address else f"https://{address}"
    raise RegistryUnreachable(
        f"The Service {metadata['namespace']}/{metadata['name']} has no annotation {ANNOTATION}",
        do="Wait until the registry is available, or set REGISTRY to its outside address, https://…",
    )
