"""What happens on a cluster after an InferenceService was created, in the words of the objects themselves.

Labels, finalizers, conditions, ReplicaSets and messages are those of tests/facts/kserve.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

SPEED = 20  # planned seconds that pass in one
SERVER = "kserve-container"
LABEL = "serving.kserve.io/inferenceservice"
TRACKED = "modelregistry.opendatahub.io/inference-service-id"
FINALIZERS = ["inferenceservice.finalizers", "modelregistry.opendatahub.io/finalizer"]
RUNTIME_ARGS = ["--port=8080", "--model=/mnt/models", "--served-model-name=x"]
IMAGE = "registry.example/vllm@sha256:0"
FIRST, SECOND = "5d8c9b7b4", "679f4cbb54"  # ReplicaSets: the one that was made first, the one after a label was written
PROXY = "kube-rbac-proxy"


def stamp(ago=0.0):
    return (datetime.now(UTC) - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(kind, status, reason="", message=""):
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": stamp()}


def service_status(*conditions, transition="InProgress", **model):
    status = {"conditions": list(conditions), "modelStatus": {"transitionStatus": transition, **model}}
    return {"status": status}


def tracked(api, service):
    """The registry's controller writes its label and its finalizer, a second after the creation."""
    metadata = {"labels": {TRACKED: "9"}, "finalizers": FINALIZERS}
    api.change("InferenceService", service["metadata"]["name"], {"metadata": metadata})


def deployment(replica_set=FIRST, *, generation=1, observed=None, replicas=1, available=0, more=()):
    """What the Deployment's controller says: which ReplicaSet is the newest, and how many pods there are."""

    def change(api, service):
        name = f"{service['metadata']['name']}-predictor"
        words = "has successfully progressed" if available else "is progressing"
        progressing = condition(
            "Progressing", "True", "ReplicaSetUpdated", f'ReplicaSet "{name}-{replica_set}" {words}.'
        )
        status = {
            "observedGeneration": observed or generation, "replicas": replicas, "updatedReplicas": 1,
            "availableReplicas": available, "conditions": [progressing, *more],
        }  # fmt: skip
        metadata = {"name": name, "generation": generation, "ownerReferences": [_owner(service)]}
        item = api.put({"kind": "Deployment", "metadata": metadata, "spec": {}, "status": status})
        if item["metadata"]["generation"] != generation:
            api.change("Deployment", name, {"metadata": {"generation": generation}})

    return change


def ready(url, replica_set=FIRST, *, label=True, image=IMAGE, runs=None, **model):
    """KServe says that it is ready, and where: its pod is, and the registry's controller has come by."""

    def change(api, service):
        name = service["metadata"]["name"]
        if label:
            tracked(api, service)
        deployment(replica_set, generation=1 if replica_set == FIRST else 2, available=1)(api, service)
        for item in api.all("Pod"):  # the one that is replaced is gone
            labels = item["metadata"].get("labels") or {}
            if labels.get(LABEL) == name and labels.get("pod-template-hash") != replica_set:
                api.remove("Pod", item["metadata"]["name"])
        up = {"phase": "Running", "conditions": [condition("PodScheduled", "True"), condition("Ready", "True")]}
        up["containerStatuses"] = [container(state={"running": {}}, ready=True, image=image)]
        pod(up, replica_set=replica_set, **(runs or {}))(api, service)
        conditions = [
            condition("PredictorReady", "True", "NewReplicaSetAvailable"),
            condition("IngressReady", "True"),
            condition("Ready", "True"),
            condition("Stopped", "False"),
        ]
        status = service_status(*conditions, transition="UpToDate", **model)
        status["status"] |= {"url": url, "address": {"url": url}}
        api.change("InferenceService", name, status)

    return change


def not_ready(reason, message="", **model):
    return service_status(
        condition("IngressReady", "True"), condition("PredictorReady", "False", reason, message),
        condition("Ready", "False", reason, message), condition("Stopped", "False"), **model,
    )  # fmt: skip


def invalid(reason, message):
    """KServe accepts the object and can do nothing with it: then it knows of no condition whether it is true."""
    unknown = [condition(kind, "Unknown") for kind in ("IngressReady", "PredictorReady", "Ready")]
    return service_status(*unknown, transition="InvalidSpec", lastFailureInfo={"reason": reason, "message": message})


def container(name=SERVER, *, state, last=None, restarts=0, image=IMAGE, ready=False):
    known = {"imageID": image} if "@" in image else {}
    found = {"name": name, "image": image, "ready": ready, "restartCount": restarts, "state": state, **known}
    return found | ({"lastState": last} if last else {})


def waiting(reason, message=""):
    return {"waiting": {"reason": reason, "message": message}}


def terminated(reason="Error", code=1, message=""):
    return {"terminated": {"reason": reason, "exitCode": code, "message": message}}


def pod(status, log="", *, previous="", node="node-1", replica_set=FIRST, requests=None, number=0, **changes):
    """A pod of the deployment, new or changed; `number` tells a replacement from the one before."""
    usual = {"phase": "Pending", "conditions": [condition("PodScheduled", "True")]}

    def change(api, service):
        name = service["metadata"]["name"]
        own = f"{name}-predictor-{number}" if replica_set == FIRST else f"{name}-predictor-{replica_set}-{number}"
        model = service["spec"]["predictor"]["model"]
        run = {"command": model.get("command"), "args": [*RUNTIME_ARGS, *(model.get("args") or [])]}
        spec = {"containers": [{"name": SERVER, "resources": {"requests": requests or {}}, **run, **changes}]}
        api.put(
            {
                "kind": "Pod", "spec": spec | ({"nodeName": node} if node else {}), "status": usual | status,
                "metadata": {
                    "name": own, "labels": {LABEL: name, "pod-template-hash": replica_set},
                    "ownerReferences": [_owner(service)],
                },
            }
        )  # fmt: skip
        for text, before in ((log, False), (previous, True)):
            if text:
                api.log(own, text, previous=before)

    return change


def unschedulable(message, **more):
    scheduled = condition("PodScheduled", "False", "Unschedulable", message)
    return pod({"conditions": [scheduled]}, node="", **more)


def at_work(init=None, main=None, **more):
    """The node has mounted the volumes and made the network; beside the server there is the proxy."""
    begun = [condition("PodReadyToStartContainers", "True"), condition("PodScheduled", "True")]
    beside = container(PROXY, state={"running": {}}, ready=True)
    containers = [main or container(state={"running": {}}), beside]
    return pod({"conditions": begun, "initContainerStatuses": init or [], "containerStatuses": containers}, **more)


def preparing():
    """A node has the pod and mounts its volumes."""
    begun = [condition("PodReadyToStartContainers", "False"), condition("PodScheduled", "True")]
    first = container("storage-initializer", state=waiting("PodInitializing"))
    return pod({"conditions": begun, "initContainerStatuses": [first], "containerStatuses": []})


def event(reason, message="", *, count=1, lasted=0.0):
    """An event about the first pod: `count` times within `lasted` seconds, the last time now. It stays."""

    def change(api, service):
        about = {"kind": "Pod", "name": f"{service['metadata']['name']}-predictor-0"}
        api.put(
            {
                "kind": "Event", "metadata": {"name": f"event-{reason.lower()}"}, "type": "Warning", "count": count,
                "involvedObject": about, "reason": reason, "message": message, "eventTime": None,
                "firstTimestamp": stamp(lasted), "lastTimestamp": stamp(),
            }
        )  # fmt: skip

    return change


def refused(message):
    """The Deployment cannot make its pod."""
    return deployment(replicas=0, more=[condition("ReplicaFailure", "True", "FailedCreate", message)])


def _owner(service):
    return {"kind": "InferenceService", "name": service["metadata"]["name"], "uid": service["metadata"]["uid"]}
