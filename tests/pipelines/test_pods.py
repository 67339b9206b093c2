"""Compiled pipelines in pods: real container commands in the images' own environments, without vLLM."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from helpers.pipelines import Pipeline, submitting
from helpers.runtime.polling import wait_for
from helpers.serving.kserve.names import EXPIRES, MANAGED
from tests.plugins import cheap, harness
from tests.plugins.pipelines_api import PipelinesApi, serving_pipelines
from tests.plugins.stores import KEYS

TOKEN = "service-account-token"
STORE = {"AWS_ACCESS_KEY_ID": KEYS["ACCESS_KEY_ID"], "AWS_SECRET_ACCESS_KEY": KEYS["SECRET_ACCESS_KEY"]}


def a_pipeline(**commands):
    """A compiled pipeline of shell commands: name=(command, names of the tasks before it)."""
    tasks, components, executors = {}, {}, {}
    for name, (command, needs) in commands.items():
        tasks[name] = {"taskInfo": {"name": name}, "componentRef": {"name": f"comp-{name}"}, "dependentTasks": needs}
        components[f"comp-{name}"] = {"executorLabel": f"exec-{name}"}
        container = {"image": "quay.io/assay/stage:0.1.0", "command": ["sh", "-c"], "args": [command]}
        executors[f"exec-{name}"] = {"container": container}
    root = {"dag": {"tasks": tasks}}
    spec = {"root": root, "components": components, "deploymentSpec": {"executors": executors}}
    return harness.Compiled(yaml.safe_dump(spec))


@pytest.fixture
def pods(image_environment, s3_bucket):
    return harness.Pods(image_environment, {"pipelines-store": STORE})


def states(tasks):
    return {task.name: task.state for task in tasks}


def test_a_failing_task_stops_what_depends_on_it_and_nothing_else(pods, tmp_path):
    compiled = a_pipeline(
        last=("true", ["second"]), second=("true", ["first"]), first=("exit 3", []), apart=("pwd; ls -A", [])
    )
    tasks = harness.execute(compiled, pods, tmp_path)
    assert states(tasks) == {"first": "FAILED", "second": "SKIPPED", "last": "SKIPPED", "apart": "SUCCEEDED"}
    apart = next(task for task in tasks if task.name == "apart")
    assert apart.log.read_text() == f"{apart.folder}\n", "a pod starts in an empty folder of its own"


def test_a_pod_has_no_network_but_this_machine_and_no_variable_of_it(pods, tmp_path, monkeypatch):
    monkeypatch.setenv("OF_THIS_MACHINE", "1")
    command = 'test -z "$OF_THIS_MACHINE" && ! python3 -m pip download --no-cache-dir six 2>&1; env | sort'
    (task,) = harness.execute(a_pipeline(only=(command, [])), pods, tmp_path)
    assert task.state == "SUCCEEDED", task.log.read_text()
    assert "PIP_NO_INDEX=1" in task.log.read_text()


def test_what_a_pod_started_ends_with_it(pods, tmp_path):
    command = f"setsid sleep 600 & echo $! > {tmp_path}/pid"
    (task,) = harness.execute(a_pipeline(only=(command, [])), pods, tmp_path / "pods")
    assert task.state == "SUCCEEDED"
    assert harness.gone(int((tmp_path / "pid").read_text()))


def submitted(api, name, runtime, given=None):
    submitting.submit(runtime, Pipeline(name), given or {}, say=lambda line: None)
    return api.wait()


@pytest.fixture
def cluster(pods, tmp_path, write_runtime, s3_bucket):
    """A Pipelines server that executes what is submitted."""
    with serving_pipelines(PipelinesApi(TOKEN, tmp_path / "pods", pods)) as api:
        write_runtime(api.address, s3_bucket)
        yield api


def test_a_pod_waits_for_a_secret_and_its_keys_and_names_what_is_missing(pods, tmp_path, write_runtime, s3_bucket):
    runtime = write_runtime("http://127.0.0.1:9", s3_bucket)
    version = cheap.compiled("model-ops", s3_bucket, tmp_path / "compiled", runtime)
    task, stop = cheap.alone(version, "ingest_model", None, "waiting"), harness.Stop()
    pods.image("stage")  # which takes minutes to build, before anybody waits
    thread = threading.Thread(target=harness.execute, args=(version, pods, tmp_path / "waiting", {}, [task], stop))
    thread.start()

    def named(what):
        wait_for(lambda: what in task.message, what="the reason", do="Look at the harness", timeout=60, interval=0.05)
        assert (task.state, task.attempts[0].history) == ("RUNNING", ["PENDING"])

    named('CreateContainerConfigError: secret "assay-store" not found')
    pods.secrets["assay-store"] = STORE
    named("CreateContainerConfigError: couldn't find key AWS_S3_ENDPOINT in Secret assay-store")
    stop.set()
    thread.join()
    assert task.state == "FAILED"


def test_a_failed_nodes_notebook_is_in_the_bucket_with_what_to_do(cluster, s3_bucket, pods):
    more = dict.fromkeys(("AWS_S3_ENDPOINT", "AWS_DEFAULT_REGION", "AWS_S3_BUCKET"), "not used")
    pods.secrets |= {"assay-store": STORE | more, "assay-signing": {"SIGNING_PUBLIC_KEY": "not used"}}
    run = submitted(cluster, "ai-engineer", "odh_dsp", {"REGISTRY": "local"})
    assert [task.state for task in run.tasks] == ["FAILED"] + ["SKIPPED"] * 7 + ["SUCCEEDED"]
    log = run.tasks[0].log.read_text()
    assert "No local registry is known" in log
    uploads = s3_bucket.keys()
    (page,) = [key for key in uploads if key.endswith("/registry_lookup.html")]
    assert "InvalidParameter" in s3_bucket.get(page).decode()
    handed_on = [key for key in uploads if "/artifacts/" in key and "/exit/" not in key]
    assert not handed_on, "a failed node hands nothing on"


def an_inference_service(name, expires):
    metadata = {"name": name, "labels": {MANAGED: "assay"}, "annotations": {EXPIRES: expires}}
    return {"kind": "InferenceService", "metadata": metadata, "spec": {}}


def test_the_sweep_removes_what_is_past_its_lifetime(cluster, pods, kubernetes_api, s3_bucket):
    then = (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="seconds")
    kubernetes_api.put(an_inference_service("assay-old", then))
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="seconds")
    kubernetes_api.put(an_inference_service("assay-new", later))
    pods.platform = harness.in_cluster(kubernetes_api.kubeconfig())
    run = submitted(cluster, "remove-expired", "odh_dsp")
    assert run.state == "SUCCEEDED", run.tasks[0].log.read_text()
    assert [item["metadata"]["name"] for item in kubernetes_api.all("InferenceService")] == ["assay-new"]
    uploads = s3_bucket.keys()
    (removed,) = [key for key in uploads if key.endswith("artifacts/removed.json")]
    assert "assay-old" in json.loads(s3_bucket.get(removed))["removed"][0]
