"""What happens on a cluster after an InferenceService was created, in the words of the objects themselves."""

from __future__ import annotations

from datetime import UTC, datetime

SPEED = 20  # planned seconds that pass in one
SERVER = "kserve-container"
LABEL = "serving.kserve.io/inferenceservice"
IMAGE = "registry.example/vllm@sha256:0"


def condition(kind, status, reason="", message=""):
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": stamp}


def service_status(*conditions, transition="InProgress", **model):
    status = {"conditions": list(conditions), "modelStatus": {"transitionStatus": transition, **model}}
    return {"status": status}


def ready(url, **model):
    """KServe says that it is ready, and where."""

    def change(api, service):
        conditions = [
            condition("PredictorReady", "True"),
            condition("IngressReady", "True"),
            condition("Ready", "True"),
        ]
        status = service_status(*conditions, transition="UpToDate", **model)
        status["status"] |= {"url": url, "address": {"url": url}}
        api.change("InferenceService", service["metadata"]["name"], status)

    return change


def not_ready(reason, message="", **model):
    return service_status(condition("PredictorReady", "False", reason, message), condition("Ready", "False"), **model)


def container(name=SERVER, *, state, last=None, restarts=0, image=IMAGE):
    found = {"name": name, "image": image, "ready": False, "restartCount": restarts, "state": state}
    return found | ({"lastState": last} if last else {})


def waiting(reason, message=""):
    return {"waiting": {"reason": reason, "message": message}}


def terminated(reason="Error", code=1, message=""):
    return {"terminated": {"reason": reason, "exitCode": code, "message": message}}


def pod(status, log="", *, previous="", node="node-1"):
    """The one pod of the deployment, new or changed."""
    usual = {"phase": "Pending", "conditions": [condition("PodScheduled", "True")]}

    def change(api, service):
        name = service["metadata"]["name"]
        api.put(
            {
                "kind": "Pod", "spec": {"nodeName": node} if node else {}, "status": usual | status,
                "metadata": {
                    "name": f"{name}-predictor-0", "labels": {LABEL: name},
                    "ownerReferences": [{"kind": "InferenceService", "name": name, "uid": service["metadata"]["uid"]}],
                },
            }
        )  # fmt: skip
        for text, before in ((log, False), (previous, True)):
            if text:
                api.log(f"{name}-predictor-0", text, previous=before)

    return change


def unschedulable(message):
    scheduled = condition("PodScheduled", "False", "Unschedulable", message)
    return pod({"conditions": [scheduled]}, node="")


def at_work(init=None, main=None):
    return pod({"initContainerStatuses": init or [], "containerStatuses": [main or container(state={"running": {}})]})


def event(reason, message=""):
    def change(api, service):
        about = {"kind": "Pod", "name": f"{service['metadata']['name']}-predictor-0"}
        api.put(
            {
                "kind": "Event", "metadata": {"name": f"event-{reason.lower()}"}, "type": "Warning",
                "involvedObject": about, "reason": reason, "message": message,
            }
        )  # fmt: skip

    return change


def refused(message):
    """The Deployment cannot make its pod."""

    def change(api, service):
        api.put(
            {
                "kind": "Deployment", "metadata": {"name": f"{service['metadata']['name']}-predictor"}, "spec": {},
                "status": {"conditions": [condition("ReplicaFailure", "True", "FailedCreate", message)]},
            }
        )  # fmt: skip

    return change
