"""Which servers serve a version now: processes of this machine and InferenceServices, whoever made them."""

from __future__ import annotations

from typing import NamedTuple

from helpers.cluster import Cluster, connect
from helpers.cluster.client import EVERYWHERE, configured
from helpers.errors import Forbidden, NotFound
from helpers.registry import Version, housekeeping
from helpers.serving.kserve.names import DIGEST, Object, annotation, is_ours, registry_label

REGISTRY = "modelregistry.opendatahub.io"  # its labels say which version of which registry is served
NAME = "openshift.io/display-name"


class Deployment(NamedTuple):
    """A server in one line, and the command that ends it."""

    line: str
    ended_by: str


def of_version(version: Version, registry: str, *, timeout: float | None = None) -> list[Deployment]:
    """Return what serves a version of the registry at that address; empty where nothing does.

    On a cluster every project counts, or the own one where this account may not see the others. A registry of this
    machine may be used without one. Raises ClusterUnreachable or Forbidden where the cluster cannot be asked.
    """
    label = f"{version.name} {version.version}"
    here = [
        Deployment(housekeeping.server_line(server), f"python -m helpers.registry delete {server.handle} --yes")
        for server in housekeeping.servers()
        if server.label == label
    ]
    if not registry_label(registry) and not configured():
        return here
    return here + [_service(each) for each in _services(connect(timeout=timeout)) if _serves(each, version, registry)]


def _services(cluster: Cluster) -> list[Object]:
    try:
        return cluster.list("InferenceService", namespace=EVERYWHERE)
    except Forbidden:
        return _own(cluster)
    except NotFound:
        return []  # a cluster without KServe serves nothing


def _own(cluster: Cluster) -> list[Object]:
    try:
        return cluster.list("InferenceService")
    except NotFound:
        return []


def _serves(item: Object, version: Version, registry: str) -> bool:
    """Return whether deploy_model made it for this version, or the dashboard did, which says it by labels."""
    digest = str(version.properties.get("digest", ""))
    if is_ours(item) and annotation(item, NAME) == f"{version.name} {version.version}":
        return annotation(item, DIGEST) == digest
    labels = item["metadata"].get("labels") or {}
    said = [labels.get(f"{REGISTRY}/{key}", "") for key in ("registered-model-id", "model-version-id", "name")]
    return said == [version.registered_model_id, version.model_version_id, registry_label(registry)]


def _service(item: Object) -> Deployment:
    namespace, name = item["metadata"]["namespace"], item["metadata"]["name"]
    do = f"oc -n {namespace} delete inferenceservice {name}"
    return Deployment(f"InferenceService {namespace}/{name}", do)
