"""What to do where a registry does not let somebody in, or does not answer."""

from __future__ import annotations

import re

from helpers.cluster.account import in_pod, namespace

NAMESPACES = ("rhoai-model-registries", "odh-model-registries")
TOKEN_HINT = (
    "Set REGISTRY_TOKEN or REGISTRY_TOKEN_FILE to a token whose owner may `get` the registry's Service, "
    "for example that of `oc whoami -t`"
)
# The operator's two forms of an outside address: NAME-rest.DOMAIN, and GATEWAY/model-registry/NAME from 3.5 on.
NAMED = re.compile(r"https://(?P<host>[a-z0-9-]+)-rest\.|https://[^/]+/model-registry/(?P<path>[a-z0-9-]+)")
INSIDE = re.compile(r"://[^/]+\.svc(\.cluster\.local)?(:|/|$)")


def binding(name: str, place: str, project: str) -> str:
    """Return how an administrator lets a project's service accounts use a registry."""
    return (
        f"Ask the registry's administrator for the RoleBinding: `oc -n {place} create rolebinding "
        f"registry-user-{name}-{project} --role=registry-user-{name} --group=system:serviceaccounts:{project}`"
    )


def refused_hint(address: str, status: int) -> str:
    """Return what to do where the registry answered 401 or 403."""
    found = NAMED.match(address)
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
