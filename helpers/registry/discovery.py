"""Find a model registry on the cluster: OpenShift AI writes its outside address on the registry's Service.

The inside address is of no use: a NetworkPolicy lets only the router's namespaces reach the registry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from helpers.errors import Forbidden, InvalidParameter, RegistryUnreachable
from helpers.registry.access import NAMESPACES, binding

if TYPE_CHECKING:
    from helpers.cluster import Cluster

ANNOTATION = "routing.opendatahub.io/external-address-rest"
DO_GIVE = "Set REGISTRY to its address, https://…, or to service:NAME (`oc get services -n rhoai-model-registries`)"


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
