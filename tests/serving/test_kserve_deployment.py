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
    "used: requests.nvidia.com/gpu=2, limited: requests.nvidia.com/gpu=2"
)
SCC = (
    'pods "x" is forbidden: unable to validate against any security context constraint: [provider "anyuid": Forbidden]'
)
NO_GPU = "0/6 nodes are available: 3 Insufficient nvidia.com/gpu, 3 node(s) had untolerated taint {nvidia.com/gpu: }."
TAINTED = "0/3 nodes are available: 3 node(s) had untolerated taint {dedicated: llm}."
STALE = {"reason": "ModelLoadFailed", "message": "an earlier attempt", "location": "kserve-container"}


def crashing(log, code=1, **state):
    ended = h.terminated("Error", code)
    main = h.container(state=BACKOFF, last=ended, restarts=1)
    return h.pod({"containerStatuses": [main]}, log="starting\n", previous=log)


def ours(api):
    return [item["metadata"]["name"] for kind in ("InferenceService", "ServingRuntime") for item in api.all(kind)]


def test_ready_in_ten_seconds(project, selection, name, answers, capsys):
    vllm = answers(name)
    project.play("InferenceService", [
        (1, h.unschedulable(NO_GPU)), (2, h.at_work([FETCHING], h.container(state=h.waiting("PodInitializing")))),
        (6, h.at_work([FETCHED])), (10, h.ready(vllm.url)),
    ])  # fmt: skip
    began = time.monotonic()
    endpoint = serving.deploy(selection, settings())
    assert time.monotonic() - began < 10
    assert (endpoint.target, endpoint.url, endpoint.model, endpoint.max_model_len) == ("kserve", vllm.url, name, 1024)
    assert (endpoint.engine_version, endpoint.digest, endpoint.digest_verified) == ("0.18.0", selection.digest, True)
    assert (endpoint.hardware.type, endpoint.hardware.count, endpoint.auth) == ("nvidia.com/gpu", 1, "key")
    assert endpoint.handle == f"evaluation/{name}"
    assert endpoint.startup_seconds > 0
    assert 3.9 * 3600 < (endpoint.expires - endpoint.started).total_seconds() <= 4 * 3600
    assert (endpoint.tokenizer_folder() / "config.json").read_bytes() == b"{}"
    assert ours(project) == [name, name]
    said = capsys.readouterr().out
    assert "no node has enough free nvidia.com/gpu" in said
    assert "storage-initializer is at work" in said
    assert not {"watch", "update"} & {request.verb for request in project.requests}


FAILURES = {
    "image of the server": (
        [h.pod({"containerStatuses": [h.container(state=h.waiting("ImagePullBackOff", "Back-off pulling image"))]})],
        errors.ImageUnavailable, rf"{h.IMAGE} cannot be pulled.*Back-off pulling.*pull secret",
    ),
    "image not found at the first attempt": (
        [h.pod({"containerStatuses": [h.container(state=h.waiting("ErrImagePull", "manifest unknown"))]})],
        errors.ImageUnavailable, "manifest unknown",
    ),
    "invalid image name": (
        [h.pod({"containerStatuses": [h.container(state=h.waiting("InvalidImageName", "couldn't parse"))]})],
        errors.ImageUnavailable, "InvalidImageName",
    ),
    "image of the model": (
        [h.at_work([h.container("modelcar-init", state=h.waiting("ErrImagePull", "unauthorized"), image="quay/m@s")])],
        errors.ImageUnavailable, r"quay/m@s cannot be pulled.*CONNECTION",
    ),
    "no GPU free": ([h.unschedulable(NO_GPU)], errors.NotSchedulable, r"no node has enough free nvidia\.com/gpu"),
    "taint": ([h.unschedulable(TAINTED)], errors.NotSchedulable, "Add dedicated to TOLERATIONS"),
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
        [h.pod({"containerStatuses": [h.container(state={"running": {}}, last=h.terminated(), restarts=1)]},
            previous="api_server.py: error: unrecognized arguments: --odd")],
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
        [h.not_ready("", transition="InvalidSpec",
            lastFailureInfo={"reason": "RuntimeNotRecognized", "message": "Waiting for runtime"})],
        errors.InvalidDeployment, r"RuntimeNotRecognized.*SERVING_RUNTIME",
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
    "volume": ([h.pod({}), h.event("FailedMount", 'MountVolume.SetUp failed for volume "models"')],
        errors.ModelUnavailable, "its volumes cannot be mounted.*MountVolume"),
    "proxy": (
        [h.at_work([FETCHED], h.container("kube-rbac-proxy", state=BACKOFF, last=h.terminated("Error", 2)))],
        errors.ServerCrashed, "kube-rbac-proxy ends again and again",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FAILURES)
def test_each_failure_is_told_within_seconds_and_leaves_nothing(project, selection, name, case):
    history, error, said = FAILURES[case]
    project.play("InferenceService", [(1, change) for change in history])
    began = time.monotonic()
    with pytest.raises(error, match=rf"(?s)ops-small 1\.0\.0 was not served.*{said}") as caught:
        serving.deploy(selection, settings())
    assert type(caught.value) is error
    assert time.monotonic() - began < 5 + 60 / h.SPEED
    assert caught.value.do in str(caught.value)
    assert ours(project) == []
    assert "never-shown" not in repr(caught.value)


def test_the_last_log_lines_are_below_the_error(project, selection):
    project.play("InferenceService", [(1, crashing("first line\nValueError: something odd"))])
    with pytest.raises(errors.ServerCrashed) as caught:
        serving.deploy(selection, settings())
    assert caught.value.__notes__ == ["Last lines of its log:\nfirst line\nValueError: something odd"]


PATIENT = {
    "a GPU becomes free": [h.unschedulable(NO_GPU), h.at_work()],
    "a node is on its way": [h.unschedulable(NO_GPU), h.event("TriggeredScaleUp", "pod triggered scale-up")],
    "the registry hiccups once": [
        h.pod({"containerStatuses": [h.container(state=h.waiting("ErrImagePull", "dial tcp: i/o timeout"))]}),
        h.at_work(),
    ],
    "a large image": [h.not_ready("ProgressDeadlineExceeded", 'ReplicaSet "x" has timed out progressing.'), h.pod({})],
    "one crash before the model was mounted": [
        h.pod({"containerStatuses": [h.container(state={"running": {}}, last=h.terminated(), restarts=1)]},
            previous="OSError: Can't load the configuration of '/mnt/models'"),
    ],
    "what failed before": [h.not_ready("", transition="InProgress", lastFailureInfo=STALE), h.pod({})],
}  # fmt: skip


@pytest.mark.parametrize("case", PATIENT)
def test_what_passes_is_waited_for(project, selection, name, answers, case):
    seconds = 40 if "node" in case or "large" in case else 12
    history = [(1 + 4 * index, change) for index, change in enumerate(PATIENT[case])]
    vllm = answers(name)
    project.play("InferenceService", [*history, (seconds, h.ready(vllm.url, lastFailureInfo=STALE))])
    assert serving.deploy(selection, settings()).url == vllm.url


def test_a_time_out_says_what_it_waited_for(project, selection):
    project.play("InferenceService", [(1, h.at_work([FETCHING], h.container(state=h.waiting("PodInitializing"))))])
    with pytest.raises(errors.StartTimedOut, match=r"within 5 s.*storage-initializer is at work.*START_TIMEOUT"):
        serving.deploy(selection, settings(start_timeout_seconds=5))
    assert ours(project) == []


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


def test_a_write_to_the_bucket_while_it_comes_up_is_noticed(project, selection, name, answers):
    uri = f"{selection.uri}/model-00001-of-00002.safetensors"
    project.play("InferenceService", [
        (1, lambda api, item: storage.put(b"other", uri)), (2, h.ready(answers(name).url)),
    ])  # fmt: skip
    with pytest.raises(errors.DigestMismatch, match="was written to while the model was deployed"):
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
