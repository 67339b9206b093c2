"""Find out what answers at an address, and which version of the interface it speaks."""

from __future__ import annotations

import os
import ssl

from helpers.cluster.account import ca_bundle
from helpers.errors import InvalidParameter
from helpers.registry.access import INSIDE, TOKEN_HINT
from helpers.registry.address import resolve, token_for
from helpers.registry.connection import Connection, no_registry

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
