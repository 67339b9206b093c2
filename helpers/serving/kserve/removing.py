"""Deletion that ends when the pods are gone, and the sweep of what is past its lifetime; others' objects stay."""

from __future__ import annotations

from datetime import datetime

from helpers.artifacts import now
from helpers.artifacts.run import label
from helpers.cluster import Cluster, connect
from helpers.errors import Forbidden, NotFound
from helpers.runtime.polling import wait_for
from helpers.serving.kserve.names import POD_OF, RUN, SELECTOR, Object, expires, is_ours

GONE_SECONDS = 300
INTERVAL = 1.0


def remove(handle: str) -> str:
    """Delete a deployment of ours and say in one sentence what happened; removing it twice is fine."""
    namespace, _, name = handle.rpartition("/")
    cluster = connect(namespace)
    service = cluster.get("InferenceService", name)
    if service and not is_ours(service):
        return f"{handle} is not Assay's and stays"
    delete(cluster, name)
    return f"{handle} is removed" if service else f"{handle} is not there any more"


def remove_run(run: str) -> list[str]:
    """Delete every deployment of ours that carries that run's label in this project; say what was removed."""
    cluster, selector = connect(), f"{SELECTOR},{RUN}={label(run)}"
    try:
        names = [service["metadata"]["name"] for service in cluster.list("InferenceService", selector)]
    except NotFound:
        return []  # a cluster without KServe serves nothing
    except Forbidden:
        if cluster.allowed("create", "InferenceService"):
            raise
        return []  # an account that may not make one has made none
    for name in names:  # all are asked to end before the first is waited for: a pod that is ended has half a minute
        cluster.delete("InferenceService", name)
    said = []
    for name in names:
        delete(cluster, name)
        said.append(f"{cluster.namespace}/{name} is removed")
    for runtime in _runtimes(cluster, selector):  # of a run that ended between the two creations
        if delete_runtime(cluster, name := runtime["metadata"]["name"]):
            said.append(f"{cluster.namespace}/{name}, a ServingRuntime that nothing uses, is removed")
    return said


def remove_expired(at: datetime | None = None) -> list[str]:
    """Delete every deployment of ours in the project that is past its lifetime; say what was removed or left."""
    cluster, due, said = connect(), at or now(), []
    services = cluster.list("InferenceService", SELECTOR)
    for service in services:
        handle = f"{cluster.namespace}/{service['metadata']['name']}"
        if (moment := expires(service)) is None:
            said.append(f"{handle} says no moment at which it expires, and stays")
        elif moment <= due:
            delete(cluster, service["metadata"]["name"])
            said.append(f"{handle} is removed, it expired at {moment:%Y-%m-%d %H:%M} UTC")
    names = {service["metadata"]["name"] for service in services}
    for runtime in _runtimes(cluster):
        name, moment = runtime["metadata"]["name"], expires(runtime)
        if name not in names and moment and moment <= due and delete_runtime(cluster, name):
            said.append(f"{cluster.namespace}/{name}, a ServingRuntime that nothing uses, is removed")
    return said


def delete(cluster: Cluster, name: str, *, timeout: float | None = None) -> None:
    """Delete an InferenceService and its ServingRuntime, and wait for the end of its pods. Raises TimedOut."""

    def gone() -> bool:
        return not cluster.get("InferenceService", name) and not cluster.list("Pod", f"{POD_OF}={name}")

    cluster.delete("InferenceService", name)
    wait_for(
        gone,
        what=f"The end of the InferenceService {cluster.namespace}/{name} and its pods",
        do=f"Look at its finalizers and pods with `oc -n {cluster.namespace} describe inferenceservice {name}`",
        timeout=timeout or GONE_SECONDS,
        interval=INTERVAL,
    )
    delete_runtime(cluster, name)


def delete_runtime(cluster: Cluster, name: str) -> bool:
    """Delete the ServingRuntime that was made for this deployment; False where there is none or it is in use."""
    try:
        runtime = cluster.get("ServingRuntime", name)
        if not runtime or not is_ours(runtime) or _used(cluster, name):
            return False
        return cluster.delete("ServingRuntime", name)
    except (Forbidden, NotFound):
        return False  # an account that may not make one has made none


def _used(cluster: Cluster, runtime: str) -> bool:
    """Return whether any InferenceService, ours or not, names this ServingRuntime."""
    return any(
        service["spec"].get("predictor", {}).get("model", {}).get("runtime") == runtime
        for service in cluster.list("InferenceService")
    )


def _runtimes(cluster: Cluster, selector: str = SELECTOR) -> list[Object]:
    try:
        return cluster.list("ServingRuntime", selector)
    except (Forbidden, NotFound):
        return []
