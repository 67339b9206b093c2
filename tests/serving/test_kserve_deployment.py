"""deploy_model on a cluster, by the real client as the account of a pipeline's pod: from ready to each failure."""

from __future__ import annotations

import re
import signal
import threading
import time

import pytest

from helpers import errors, serving, storage
from tests.serving import histories as h
from tests.serving.conftest import settings

FETCHING = h.container("storage-initializer", state={"running": {}})
FETCHED = h.container("storage-initializer", state={"terminated": {"reason": "Completed", "exitCode": 0}})
BACKOFF = h.waiting("CrashLoopBackOff", "back-off 10s restarting failed container")
QUOTA = (
    'pods "x" is forbidden: exceeded quota: gpu-quota, requested: requests.nvidia.com/gpu=1, '
    "used: requests.nvidia.com/gpu=0, limited: requests.nvidia.com/gpu=0"
)
SCC = (
    'pods "x" is forbidden: unable to validate against any security context constraint: [provider "anyuid": Forbidden]'
)
USED_UP = QUOTA.replace("limited: requests.nvidia.com/gpu=0", "limited: requests.nvidia.com/gpu=2")
MASTERS = "3 node(s) had untolerated taint {node-role.kubernetes.io/master: }"
TAKEN = (
    f"0/6 nodes are available: 3 Insufficient nvidia.com/gpu, {MASTERS}. no new claims to deallocate, preemption: 0/6 "
    "nodes are available: 3 No preemption victims found for incoming pod, 3 Preemption is not helpful for scheduling."
)
NEVER = (
    f"0/6 nodes are available: 3 Insufficient nvidia.com/gpu, {MASTERS}. no new claims to deallocate, preemption: 0/6 "
    "nodes are available: 6 Preemption is not helpful for scheduling."
)
TAINTED = f"0/6 nodes are available: 3 node(s) had untolerated taint {{dedicated: llm}}, {MASTERS}."
GPU = {"requests": {"nvidia.com/gpu": "1"}}
CDI = "failed to create containerd task: nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.8"
STALE = {"reason": "ModelLoadFailed", "message": "an earlier attempt", "location": "kserve-container"}


def crashing(log, code=1, **state):
    ended = h.terminated("Error", code)
    main = h.container(state=BACKOFF, last=ended, restarts=1)
    return h.at_work(main=main, log="starting\n", previous=log)


def pulling(reason, message, **more):
    return h.at_work(main=h.container(state=h.waiting(reason, message), **more))


def restarted(previous, code=1):
    return h.at_work(
        main=h.container(state={"running": {}}, last=h.terminated("Error", code), restarts=1), previous=previous
    )


def ours(api):
    return [item["metadata"]["name"] for kind in ("InferenceService", "ServingRuntime") for item in api.all(kind)]


def test_from_creation_to_ready(project, selection, name, answers, capsys):
    vllm = answers(name)
    project.play("InferenceService", [
        (1, h.unschedulable(TAKEN)), (3, h.preparing()), (4, h.at_work([FETCHING])), (6, h.at_work([FETCHED])),
        (10, h.ready(vllm.url)),
    ])  # fmt: skip
    endpoint = serving.deploy(selection, settings())
    assert (endpoint.target, endpoint.url, endpoint.model, endpoint.max_model_len) == ("kserve", vllm.url, name, 1024)
    assert (endpoint.engine_version, endpoint.digest, endpoint.digest_verified) == ("0.18.0", selection.digest, True)
    assert endpoint.verified_by == "signed digest"
    assert (endpoint.hardware.type, endpoint.hardware.count, endpoint.auth) == ("nvidia.com/gpu", 1, "key")
    assert endpoint.handle == f"evaluation/{name}"
    assert endpoint.startup_seconds > 0
    assert 4 * 3600 < (endpoint.expires - endpoint.started).total_seconds() <= 4 * 3600 + 1800, "it may queue first"
    assert (endpoint.tokenizer_folder() / "config.json").read_bytes() == b"{}"
    assert ours(project) == [name, name]
    said = capsys.readouterr().out
    assert "no node has enough free nvidia.com/gpu" in said
    assert "3 Insufficient nvidia.com/gpu" in said
    assert not {"watch", "update"} & {request.verb for request in project.requests}


FAILURES = {
    "image of the server": (
        [pulling("ErrImagePull", "no such host"), pulling("ImagePullBackOff", "Back-off pulling image: no such host")],
        errors.ImageUnavailable, rf"{h.IMAGE} cannot be pulled.*Back-off pulling.*pull secret",
    ),
    "second attempt failed too": (
        [pulling("ErrImagePull", "i/o timeout"), h.event("Failed", 'Failed to pull image "x": i/o timeout', count=2)],
        errors.ImageUnavailable, "i/o timeout",
    ),
    "image not found at the first attempt": (
        [pulling("ErrImagePull", "manifest unknown")], errors.ImageUnavailable, "manifest unknown",
    ),
    "the cause is in an event": (
        [h.event("Failed", 'Failed to pull image "x": unauthorized'), pulling("ImagePullBackOff", "Back-off pulling")],
        errors.ImageUnavailable, "pull secret",
    ),
    "invalid image name": (
        [pulling("InvalidImageName", "couldn't parse")], errors.ImageUnavailable, "InvalidImageName",
    ),
    "signature": (
        [pulling("SignatureValidationFailed", "Source image rejected")], errors.ImageUnavailable, "take a signed image",
    ),
    "disk full": (
        [pulling("ErrImagePull", "write /var/lib/x: no space left on device")],
        errors.ImageUnavailable, "node's disk is full",
    ),
    "image of the model": (
        [h.at_work([h.container("modelcar-init", state=h.waiting("ErrImagePull", "unauthorized"), image="quay/m@s")])],
        errors.ImageUnavailable, r"quay/m@s cannot be pulled.*CONNECTION",
    ),
    "no GPU at all": (
        [h.unschedulable(NEVER)], errors.NotSchedulable, r"no node could ever hold.*: nvidia\.com/gpu \(",
    ),
    "taint beside those of masters": (
        [h.unschedulable(TAINTED)], errors.NotSchedulable, r"\. Add dedicated to TOLERATIONS",
    ),
    "claim missing": (
        [h.unschedulable('persistentvolumeclaim "models" not found')], errors.ModelUnavailable, "Check the claim",
    ),
    "killed for memory": (
        [h.at_work([FETCHED], h.container(state={"running": {}}, last=h.terminated("OOMKilled", 137), restarts=1))],
        errors.OutOfMemory, r"kserve-container was killed.*RESOURCES",
    ),
    "GPU memory": ([crashing("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB")],
        errors.OutOfMemory, "memory is short"),
    "KV cache": ([crashing("ValueError: The model's max seq len (32768) is larger than the available KV cache memory")],
        errors.OutOfMemory, "Lower MAX_MODEL_LEN"),
    "architecture": ([crashing("ValueError: Model architectures ['OddForCausalLM'] are not supported for now.")],
        errors.ModelNotLoaded, "does not know the model's architecture"),
    "weights": ([crashing("safetensors_rust.SafetensorError: Error while deserializing header")],
        errors.ModelNotLoaded, "files could not be loaded"),
    "argument": ([crashing("api_server.py: error: unrecognized arguments: --odd", 2)],
        errors.InvalidDeployment, "Correct ENGINE_ARGS"),
    "crash loop": ([crashing("a line that nobody knows", 3)],
        errors.ServerCrashed, r"ends again and again \(exit code 3"),
    "first crash with a known reason": (
        [restarted("api_server.py: error: unrecognized arguments: --odd")],
        errors.InvalidDeployment, "vLLM refused an argument",
    ),
    "storage initializer": (
        [h.at_work([h.container("storage-initializer", state=BACKOFF,
            last=h.terminated("Error", 1, "botocore.exceptions.ClientError: (403) Forbidden"))])],
        errors.ModelUnavailable, r"could not bring the model.*\(403\) Forbidden.*CONNECTION",
    ),
    "storage initializer out of memory": (
        [h.at_work([h.container("storage-initializer", state=h.terminated("OOMKilled", 137))])],
        errors.OutOfMemory, r"storage-initializer was killed.*inferenceservice-config",
    ),
    "modelcar": (
        [h.at_work([h.container("modelcar-init", state=h.terminated("Error", 1, "modelcar is invalid"))])],
        errors.ModelUnavailable, "holds nothing under /models.*modelcar is invalid",
    ),
    "secret missing": (
        [h.at_work([FETCHED], h.container(state=h.waiting("CreateContainerConfigError", 'secret "x" not found')))],
        errors.InvalidDeployment, 'secret "x" not found',
    ),
    "quota": ([h.refused(QUOTA)], errors.NotAdmitted, r"exceeded quota: gpu-quota.*larger ResourceQuota"),
    "security context": ([h.refused(SCC)], errors.NotAdmitted, "Take a SERVING_RUNTIME that fits"),
    "storage key": ([h.refused('admission webhook denied: specified storage key x not found in storage secret')],
        errors.ModelUnavailable, "CONNECTION"),
    "quota in the status alone": ([h.not_ready("FailedCreate", QUOTA)], errors.NotAdmitted, "exceeded quota"),
    "runtime unknown": (
        [h.invalid("RuntimeNotRecognized", "Waiting for runtime to become available")],
        errors.InvalidDeployment, r"Create the ServingRuntime ops-small.*apply -k.*SERVING_RUNTIME",
    ),
    "Deployment invalid": ([h.not_ready("ReconcileFailed", "fails to reconcile predictor: x is invalid")],
        errors.InvalidDeployment, "fails to reconcile predictor"),
    "service account": ([h.refused('error looking up service account demo/x: serviceaccount "x" not found')],
        errors.NotAdmitted, "Correct SERVICE_ACCOUNT"),
    "killed by a probe": (
        [h.at_work(main=h.container(state=BACKOFF, last=h.terminated("Error", 137), restarts=1))],
        errors.ServerCrashed, r"exit code 137.*a probe fails",
    ),
    "driver": ([h.at_work(main=h.container(state=h.waiting("RunContainerError", CDI)))],
        errors.InvalidDeployment, "the CUDA version of the node's driver"),
    "driver after a start": (
        [h.at_work(main=h.container(state=BACKOFF, last=h.terminated("StartError", 128, CDI), restarts=1))],
        errors.InvalidDeployment, "the CUDA version of the node's driver",
    ),
    "sandbox": (
        [h.preparing(), h.event("FailedCreatePodSandBox", "plugin type=ovn failed", count=9, lasted=70)],
        errors.DeploymentFailed, "cannot begin the pod.*ovn",
    ),
    "load failed, no pod left": (
        [h.not_ready("", transition="BlockedByFailedLoad", lastFailureInfo=STALE)],
        errors.ModelNotLoaded, "an earlier attempt",
    ),
    "stopped": ([h.service_status(h.condition("Stopped", "True"), h.condition("Ready", "False", "Stopped"))],
        errors.DeploymentStopped, "somebody stopped it"),
    "evicted": ([h.pod({"phase": "Failed", "reason": "Evicted", "message": "The node was low on disk"})],
        errors.ServerCrashed, "low on disk"),
    "removed": ([lambda api, item: api.remove("InferenceService", item["metadata"]["name"])],
        errors.DeploymentStopped, "somebody removed its InferenceService"),
    "volume": ([h.preparing(), h.event("FailedMount", 'MountVolume.SetUp failed for "models"', count=9, lasted=70)],
        errors.ModelUnavailable, "its volumes cannot be mounted.*MountVolume"),
    "proxy": (
        [h.at_work([FETCHED], h.container("kube-rbac-proxy", state=BACKOFF, last=h.terminated("Error", 2)))],
        errors.ServerCrashed, "kube-rbac-proxy ends again and again",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FAILURES)
def test_each_failure_is_told_and_leaves_nothing(project, selection, name, case):
    history, error, said = FAILURES[case]
    project.play("InferenceService", [(1, change) for change in history])
    with pytest.raises(error, match=rf"(?s)ops-small 1\.0\.0 was not served.*{said}") as caught:
        serving.deploy(selection, settings())
    assert type(caught.value) is error
    assert caught.value.do in str(caught.value)
    assert ours(project) == []
    assert "never-shown" not in repr(caught.value)


def test_the_last_log_lines_are_below_the_error(project, selection):
    project.play("InferenceService", [(1, crashing("first line\nValueError: something odd"))])
    with pytest.raises(errors.ServerCrashed) as caught:
        serving.deploy(selection, settings())
    assert caught.value.__notes__ == ["Last lines of its log:\nfirst line\nValueError: something odd"]


PATIENT = {
    "a GPU becomes free": [h.unschedulable(TAKEN), h.at_work()],
    "a quota has room again": [h.refused(USED_UP), h.at_work()],
    "Kueue admits it": [
        h.pod({"conditions": [h.condition("PodScheduled", "False", "SchedulingGated", "It is blocked")]}, node=""),
        h.at_work(),
    ],
    "a node is on its way": [h.unschedulable(NEVER), h.event("TriggeredScaleUp", "pod triggered scale-up")],
    "Karpenter makes a node": [h.unschedulable(NEVER), h.event("Nominated", "Pod should schedule on: nodeclaim/x")],
    "the registry hiccups once": [pulling("ErrImagePull", "dial tcp: no such host"),
        pulling("ImagePullBackOff", "Back-off pulling image: no such host")],
    "the registry limits pulls": [pulling("ErrImagePull", "429 Too Many Requests: toomanyrequests, denied for now")],
    "a certificate that comes a moment later": [h.preparing(), h.event("FailedMount", "not found", count=2, lasted=1)],
    "a mount that failed for long before it succeeded": [
        h.event("FailedMount", "not found", count=9, lasted=70), h.at_work([FETCHING])],
    "KServe's cache is late": [h.invalid("RuntimeNotRecognized", "Waiting for runtime"), h.not_ready("")],
    "a conflict": [h.not_ready("ReconcileFailed", "the object has been modified"), h.not_ready("", "")],
    "an evicted pod is replaced": [
        h.pod({"phase": "Failed", "reason": "Evicted", "message": "The node was low on disk"}), h.at_work(number=1)],
    "a large image": [h.not_ready("ProgressDeadlineExceeded", 'ReplicaSet "x" has timed out progressing.'), h.pod({})],
    "one crash before the model was mounted": [
        restarted("OSError: Can't load the configuration of '/mnt/models'"),
    ],
    "what failed before": [h.not_ready("", transition="InProgress", lastFailureInfo=STALE), h.pod({})],
    "a label that made a second server": [
        h.at_work(), h.deployment(h.SECOND, generation=2, replicas=2), h.unschedulable(TAKEN, replica_set=h.SECOND),
        h.at_work(replica_set=h.SECOND),
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", PATIENT)
def test_what_passes_is_waited_for(project, selection, name, answers, case):
    history = [(1 + 4 * index, change) for index, change in enumerate(PATIENT[case])]
    vllm = answers(name)
    last = h.SECOND if "second" in case else h.FIRST
    project.play("InferenceService", [*history, (60, h.ready(vllm.url, last, lastFailureInfo=STALE))])
    assert serving.deploy(selection, settings()).url == vllm.url


def test_a_time_out_tells_what_it_waited_for_with_the_log_and_every_condition_that_is_not_true(project, selection):
    project.play("InferenceService", [
        (1, h.not_ready("MinimumReplicasUnavailable")), (2, h.at_work(log="Loading shard 3 of 9")),
    ])  # fmt: skip
    with pytest.raises(errors.StartTimedOut, match=r"within 5 s.*vLLM starts.*START_TIMEOUT") as caught:
        serving.deploy(selection, settings(start_timeout_seconds=5))
    assert "PredictorReady is False (MinimumReplicasUnavailable)" in str(caught.value)
    assert caught.value.__notes__ == ["Last lines of its log:\nLoading shard 3 of 9"]
    assert ours(project) == []


def test_where_the_pod_is_ready_and_the_route_is_missing_that_is_told(project, selection):
    no_route = h.service_status(
        h.condition("IngressReady", "Unknown"), h.condition("PredictorReady", "True"), h.condition("Ready", "Unknown")
    )
    up = h.pod({"phase": "Running", "conditions": [h.condition("Ready", "True")]})
    project.play("InferenceService", [(1, no_route), (1, h.deployment(available=1)), (1, up)])
    with pytest.raises(
        errors.StartTimedOut, match="its pod is ready, the service is not: IngressReady is Unknown"
    ) as caught:
        serving.deploy(selection, settings(start_timeout_seconds=5))
    assert "vLLM starts" not in str(caught.value)


def gpu_user(api, name, *, until=None):
    metadata = {
        "name": f"{name}-0",
        "labels": {h.LABEL: name},
        "annotations": {"assay/expires": until} if until else {},
    }
    spec = {"nodeName": "node-1", "containers": [{"name": "x", "resources": GPU}]}
    api.put({"kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": "Running"}})


def test_who_holds_what_is_taken_is_told_and_the_wait_ends_after_queue_seconds(project, selection, capsys):
    gpu_user(project, "granite", until="2026-11-28T21:30:00+00:00")
    gpu_user(project, "theirs")
    project.play("InferenceService", [(1, h.unschedulable(TAKEN, requests=GPU["requests"]))])
    with pytest.raises(
        errors.NotSchedulable, match=r"granite \(until 21:30 UTC\), theirs in this project.*QUEUE_SECONDS"
    ):
        serving.deploy(selection, settings(queue_seconds=20))
    assert "waits up to 20 s" in capsys.readouterr().out
    assert ours(project) == []


def test_the_time_in_the_queue_is_none_of_the_start(project, selection, name, answers):
    vllm = answers(name)
    project.play("InferenceService", [(1, h.unschedulable(TAKEN)), (160, h.at_work()), (161, h.ready(vllm.url))])
    assert serving.deploy(selection, settings(start_timeout_seconds=6)).url == vllm.url  # 8 of its seconds are queued


NODES_READ = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list"]}]


@pytest.mark.parametrize(("gpus", "error"), [("1", errors.NotSchedulable), ("4", None)])
def test_where_nodes_may_be_read_what_they_have_tells_whether_waiting_is_useless(
    project, selection, name, answers, gpus, error
):
    project.rules.grant("system:authenticated", NODES_READ)
    has = {"cpu": "64", "memory": "515Gi", "nvidia.com/gpu": gpus}
    project.put({"kind": "Node", "metadata": {"name": "node-1"}, "status": {"allocatable": has}})
    wanted = {"cpu": "500m", "memory": "16Gi", "nvidia.com/gpu": "2"}
    vllm = answers(name)
    history = [(1, h.unschedulable(TAKEN, requests=wanted)), (60, h.at_work()), (60, h.ready(vllm.url))]
    project.play("InferenceService", history)
    if error:
        with pytest.raises(error, match="no node could ever hold"):
            serving.deploy(selection, settings())
    else:
        assert serving.deploy(selection, settings()).url == vllm.url


def test_the_queue_is_named_by_a_label_and_nothing_else_changes(project, selection, name, answers):
    project.play("InferenceService", [(1, h.ready(answers(name).url))])
    serving.deploy(selection, settings(queue="gpu-team"))
    assert project.get("InferenceService", name)["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpu-team"


def test_ready_counts_only_for_the_server_that_stays(project, selection, name, answers):
    """The registry's label makes another server; until that one serves, nothing is measured."""
    vllm = answers(name)
    other = h.pod({"phase": "Running"}, replica_set=h.SECOND)
    late = h.deployment(h.SECOND, generation=2, replicas=2)
    gone = lambda api, item: api.remove("Pod", f"{name}-predictor-0")  # noqa: E731
    seen = []
    look = lambda api, item: seen.append(not [r for r in api.requests if r.resource == "services"] and not vllm.asked)  # noqa: E731
    project.play("InferenceService", [
        (1, h.ready(vllm.url, label=False)), (3, h.tracked), (3, late), (3, other), (30, look), (31, gone),
        (32, h.ready(vllm.url, h.SECOND)),
    ])  # fmt: skip
    assert serving.deploy(selection, settings()).url == vllm.url
    assert seen == [True]


def test_without_the_registrys_controller_ready_counts_after_a_while(project, selection, name, answers):
    vllm = answers(name)
    project.play("InferenceService", [(1, h.ready(vllm.url, label=False))])
    assert serving.deploy(selection, settings()).url == vllm.url


def test_ctrl_c_leaves_nothing(project, selection, name):
    project.play("InferenceService", [(1, h.pod({}))])
    main = threading.main_thread().ident
    project.on_create("InferenceService", lambda _: (time.sleep(0.3), signal.pthread_kill(main, signal.SIGINT)))
    with pytest.raises(KeyboardInterrupt):
        serving.deploy(selection, settings())
    assert ours(project) == []


def test_what_was_deployed_so_already_is_taken_over(project, selection, name, answers, capsys):
    vllm = answers(name)
    project.play("InferenceService", [(1, h.ready(vllm.url))])
    first = serving.deploy(selection, settings())
    made = project.get("InferenceService", name)["metadata"]["uid"]
    again = serving.deploy(selection, settings())
    assert "is served already" in capsys.readouterr().out
    assert project.get("InferenceService", name)["metadata"]["uid"] == made
    assert (again.url, again.expires, again.handle) == (first.url, first.expires, first.handle)


@pytest.mark.parametrize("change", [{"max_model_len": 512}, {"resources": "cpu:8,memory:16Gi,nvidia.com/gpu:1"},
    {"lifetime_seconds": 86_400}])  # fmt: skip
def test_one_that_differs_or_ends_soon_is_replaced(project, selection, name, answers, change):
    vllm = answers(name)
    project.play("InferenceService", [(1, h.ready(vllm.url))])
    serving.deploy(selection, settings())
    made = project.get("InferenceService", name)["metadata"]["uid"]
    serving.deploy(selection, settings(**change))
    assert project.get("InferenceService", name)["metadata"]["uid"] != made
    assert ours(project) == [name, name]


def test_somebody_elses_service_of_that_name_stays(project, selection, name):
    project.put({"kind": "InferenceService", "metadata": {"name": name}, "spec": {"predictor": {}}})
    with pytest.raises(errors.InvalidDeployment, match="not Assay's"):
        serving.deploy(selection, settings())
    assert ours(project) == [name]


def test_a_change_while_it_comes_up_is_noticed(project, selection, name, answers):
    other = {"spec": {"predictor": {"model": {"storage": {"path": "assay/models/other"}}}}}
    project.play("InferenceService", [(1, other), (2, h.ready(answers(name).url))])
    with pytest.raises(errors.DigestMismatch, match="was changed while it came up"):
        serving.deploy(selection, settings())
    assert ours(project) == []


def test_a_changed_model_creates_nothing(project, selection):
    storage.put(b"other", f"{selection.uri}/model-00001-of-00002.safetensors")
    with pytest.raises(errors.DigestMismatch, match="Do not serve it"):
        serving.deploy(selection, settings())
    assert "create" not in {request.verb for request in project.requests if request.resource == "inferenceservices"}


def test_a_server_of_another_model_is_refused(project, selection, answers):
    project.play("InferenceService", [(1, h.ready(answers("another").url))])
    with pytest.raises(errors.EndpointUnreachable, match="it serves another"):
        serving.deploy(selection, settings())
    assert ours(project) == []


def test_ready_is_not_enough_where_nothing_answers(project, selection):
    project.play("InferenceService", [(1, h.ready("http://127.0.0.1:9"))])
    with pytest.raises(errors.EndpointUnreachable, match=r"is ready and does not answer.*NetworkPolicies.*exposed"):
        serving.deploy(selection, settings())
    assert ours(project) == []


def test_health_is_waited_for_after_ready(project, selection, name, answers):
    vllm = answers(name)
    vllm.status = 503
    project.play("InferenceService", [
        (1, h.ready(vllm.url)), (10, lambda api, item: setattr(vllm, "status", 200)),
    ])  # fmt: skip
    assert serving.deploy(selection, settings()).url == vllm.url


def test_what_cannot_be_removed_is_told_beside_the_error(project, selection, monkeypatch):
    project.deletion_seconds["InferenceService"] = 100_000
    monkeypatch.setattr("helpers.serving.kserve.deploying.CLEAN_UP_SECONDS", 0.2)
    project.play("InferenceService", [(1, h.refused(QUOTA))])
    with pytest.raises(errors.NotAdmitted) as caught:
        serving.deploy(selection, settings())
    assert re.search(r"could not be removed: .*finalizers", caught.value.__notes__[-1])
