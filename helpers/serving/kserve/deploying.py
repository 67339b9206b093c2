"""Verify, create, wait; what was created goes away again on a failure."""

from __future__ import annotations

import time
from datetime import timedelta

from helpers.artifacts import Endpoint, Hardware, Selection, now
from helpers.cluster import Cluster, connect
from helpers.errors import ClusterRefused, Forbidden, InvalidDeployment, InvalidParameter, NotFound
from helpers.ingestion.policy import load_policy
from helpers.serving import client
from helpers.serving.amounts import accelerator, cores, number
from helpers.serving.files import Verified, fitting, verified
from helpers.serving.kserve import removing
from helpers.serving.kserve.identity import server
from helpers.serving.kserve.model_source import check_connection, logged_in, model_source
from helpers.serving.kserve.names import SPECIFICATION, Object, annotation, expires, is_ours, service_name
from helpers.serving.kserve.proving import Served, is_selected, startup_seconds, wait_until_served
from helpers.serving.kserve.rendering import engine_arguments, inference_service, provide_runtime, vendor
from helpers.serving.kserve.state import is_ready
from helpers.serving.settings import Settings

CLEAN_UP_SECONDS = 60
PRODUCT, MEMORY_MIB = "nvidia.com/gpu.product", "nvidia.com/gpu.memory"  # labels of nodes


def deploy(selection: Selection, settings: Settings) -> Endpoint:
    """Serve the selection in this project; one of ours that serves it just so already is taken over.

    Raises DigestMismatch or SignatureInvalid before anything is created, a DeploymentFailed of the fitting kind, or
    EndpointUnreachable where the server is ready and cannot be reached from here.
    """
    cluster = connect()
    model_source(selection, settings)
    check_connection(cluster, selection, settings)
    with logged_in(cluster, selection, settings):
        found = verified(selection, load_policy(settings.policy), settings.verify)
    settings = fitting(settings, found.folder)
    with client.access(_auth(settings)):
        if service := _taken_over(cluster, selection, settings):
            served = wait_until_served(cluster, selection, settings)
            return _endpoint(cluster, settings, selection, served, found, startup_seconds(service))
        started = time.monotonic()
        _create(cluster, selection, settings)
        try:
            served = wait_until_served(cluster, selection, settings)
            startup = round(time.monotonic() - started, 1)
            return _endpoint(cluster, settings, selection, served, found, startup)
        except BaseException as error:
            _clean_up(cluster, service_name(selection), error)
            raise


def _taken_over(cluster: Cluster, selection: Selection, settings: Settings) -> Object | None:
    """Return the deployment that is there if it is as it would be made now; one that is not makes room."""
    name = service_name(selection)
    if not (service := cluster.get("InferenceService", name)):
        return None
    if not is_ours(service):
        raise InvalidDeployment(
            f"{cluster.namespace} has an InferenceService {name} that is not Assay's", do="Remove or rename it"
        )
    runtime = settings.serving_runtime or service["spec"]["predictor"]["model"].get("runtime", "")
    wanted = inference_service(selection, settings, runtime, now())
    equal = annotation(service, SPECIFICATION) == annotation(wanted, SPECIFICATION)
    left = (expires(service) or now()) - now()
    if (
        is_ready(service)
        and equal
        and is_selected(service, selection, settings)
        and left >= timedelta(seconds=settings.lifetime / 2)
    ):
        print(f"{selection.label} is served already by {cluster.namespace}/{name}", flush=True)
        return service
    print(f"{cluster.namespace}/{name} is removed first: it is not as this stage would make it", flush=True)
    removing.delete(cluster, name)
    return None


def _create(cluster: Cluster, selection: Selection, settings: Settings) -> None:
    # It may queue first, and nothing of it may be changed later: KServe copies annotations to the pods.
    ends = now() + timedelta(seconds=settings.queue_seconds + settings.lifetime)
    try:
        runtime = provide_runtime(cluster, selection, settings, ends)
        cluster.create(inference_service(selection, settings, runtime, ends))
    except ClusterRefused as error:  # a deployment of that name, if there is one, is another run's
        removing.delete_runtime(cluster, service_name(selection))
        raise InvalidDeployment(error.what, do=error.do) from error
    except (InvalidDeployment, InvalidParameter, Forbidden):
        raise
    except BaseException as error:
        _clean_up(cluster, service_name(selection), error)
        raise


def _clean_up(cluster: Cluster, name: str, error: BaseException) -> None:
    """Remove what was created; where that fails, the first error stays the one that is told."""
    try:
        removing.delete(cluster, name, timeout=CLEAN_UP_SECONDS)
    except Exception as problem:  # noqa: BLE001, whatever it is, it is told beside the error that matters
        error.add_note(f"What was created could not be removed: {problem}")


def _auth(settings: Settings) -> client.Auth:
    return "key" if settings.access == "cluster" else "service-account"


def _endpoint(
    cluster: Cluster, settings: Settings, selection: Selection, served: Served, found: Verified,
    startup: float | None,
) -> Endpoint:  # fmt: skip
    return Endpoint(
        target="kserve",
        url=served.url,
        model=served.model,
        tokenizer=str(found.folder),
        max_model_len=served.max_model_len,
        engine_version=served.engine_version,
        engine_args=tuple(engine_arguments(selection, settings)[1:]),
        hardware=served_on(cluster, served.pods, settings),
        kv_cache_gib=None if vendor(settings) else settings.kv_cache_gib,
        startup_seconds=startup,
        digest=selection.digest,
        digest_verified=True,
        verified_by=found.how,
        started=now(),
        expires=expires(served.service),
        handle=f"{cluster.namespace}/{service_name(selection)}",
        auth=_auth(settings),
        server=server(served.service, served.pods),
    )


def served_on(cluster: Cluster, pods: list[Object], settings: Settings) -> Hardware:
    """Return the GPU's product and memory from the node's labels, else the resource's name; counts are requests."""
    resources = settings.pod_resources
    name, count = accelerator(resources)
    if not name:
        gib = round(number(resources["memory"]) / 2**30, 1)
        return Hardware(type="CPU", count=cores(number(resources["cpu"])), memory_gib=gib)
    labels = _node_labels(cluster, pods)
    memory = labels.get(MEMORY_MIB, "")
    return Hardware(
        type=labels.get(PRODUCT, name),
        count=count,
        memory_gib=round(int(memory) * count / 1024, 1) if memory.isdigit() else None,
    )


def _node_labels(cluster: Cluster, pods: list[Object]) -> dict[str, str]:
    node = next((str(pod["spec"]["nodeName"]) for pod in pods if (pod.get("spec") or {}).get("nodeName")), "")
    try:
        found = cluster.get("Node", node) if node else None
    except (Forbidden, NotFound):
        return {}
    return (found or {}).get("metadata", {}).get("labels") or {}
