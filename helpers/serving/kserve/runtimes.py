"""Which ServingRuntime a deployment uses: the one that was named, ours, or the platform's."""

from __future__ import annotations

from datetime import datetime

from helpers.artifacts import Selection
from helpers.cluster import Cluster
from helpers.errors import Forbidden, InvalidDeployment, InvalidParameter
from helpers.serving.kserve.failures import SET_UP, from_template
from helpers.serving.kserve.removing import delete_runtime
from helpers.serving.kserve.rendering import PLATFORM_RUNTIME, serving_runtime, vendor
from helpers.serving.settings import Settings


def provide_runtime(cluster: Cluster, selection: Selection, settings: Settings, expires: datetime) -> str:
    """Return the name of the ServingRuntime, created first where this account may. Raises InvalidDeployment."""
    if settings.serving_runtime:
        return _existing(
            cluster, settings.serving_runtime, "Name one of the project in SERVING_RUNTIME, or leave it at auto"
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
    print(f"This account may not create a ServingRuntime in {cluster.namespace}: {platform} is used", flush=True)
    return _existing(
        cluster,
        platform,
        f"This account may not create one: let it (`oc -n {cluster.namespace} apply -k {SET_UP}`), or make that one: "
        f"{from_template(platform)}",
    )


def _existing(cluster: Cluster, name: str, do: str) -> str:
    """Return a name after a look, where looking is allowed; else KServe says whether it is there."""
    try:
        if not cluster.get("ServingRuntime", name):
            raise InvalidDeployment(f"There is no ServingRuntime {name} in {cluster.namespace}", do=do)
    except Forbidden as error:
        print(f"Whether there is a ServingRuntime {name} KServe will tell: {error.what}", flush=True)
    return name
