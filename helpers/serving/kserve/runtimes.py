"""Which ServingRuntime a deployment uses: the one that was named, ours, or the platform's."""

from __future__ import annotations

from datetime import datetime

from helpers.artifacts import Selection
from helpers.cluster import Cluster
from helpers.errors import Forbidden, InvalidDeployment, InvalidParameter
from helpers.serving.kserve.removing import delete_runtime
from helpers.serving.kserve.rendering import PLATFORM_RUNTIME, serving_runtime, vendor
from helpers.serving.settings import Settings

SET_UP = "runtime-images/openshift/project"
PLATFORM = "redhat-ods-applications"  # opendatahub where Open Data Hub is installed


def provide_runtime(cluster: Cluster, selection: Selection, settings: Settings, expires: datetime) -> str:
    """Return the name of the ServingRuntime, created first where this account may. Raises InvalidDeployment."""
    if settings.serving_runtime:
        return _existing(
            cluster, settings.serving_runtime, "Name one of the project in SERVING_RUNTIME, or leave it empty"
        )
    ours = serving_runtime(selection, settings, expires)
    if ours and cluster.allowed("create", "ServingRuntime"):
        name = str(ours["metadata"]["name"])
        delete_runtime(cluster, name)
        if not cluster.get("ServingRuntime", name):
            cluster.create(ours)
        return name
    if not (platform := PLATFORM_RUNTIME.get(vendor(settings))):
        raise InvalidParameter(
            f"Neither Assay nor OpenShift AI has a ServingRuntime for {vendor(settings)}",
            do="Name one of the project in SERVING_RUNTIME",
        )
    return _existing(
        cluster,
        platform,
        f"This account may not create one: `oc process -n {PLATFORM} -o yaml {platform}-template | "
        f"oc -n {cluster.namespace} apply -f -`, or `oc apply -k` with {SET_UP}",
    )


def _existing(cluster: Cluster, name: str, do: str) -> str:
    """Return a name after a look, where looking is allowed; else KServe says whether it is there."""
    try:
        if not cluster.get("ServingRuntime", name):
            raise InvalidDeployment(f"There is no ServingRuntime {name} in {cluster.namespace}", do=do)
    except Forbidden:
        return name
    return name
