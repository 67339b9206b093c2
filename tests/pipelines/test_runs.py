"""Runs in pods: what each keeps for itself, and what is left of it however it ends. Real Elyra, cheap notebooks."""

from __future__ import annotations

import json
import threading
import time
from functools import cache

import psutil
import pytest

from helpers.pipelines import Pipeline
from helpers.serving.kserve.names import MANAGED, RUN
from tests.pipelines.conftest import runtime_file
from tests.plugins import cheap, harness
from tests.plugins.doors import door
from tests.plugins.stores import KEYS, Bucket, new_bucket

STORE = {"AWS_ACCESS_KEY_ID": KEYS["ACCESS_KEY_ID"], "AWS_SECRET_ACCESS_KEY": KEYS["SECRET_ACCESS_KEY"]}
SECRETS = {
    "pipelines-store": STORE,
    "assay-store": STORE | dict.fromkeys(("AWS_S3_ENDPOINT", "AWS_DEFAULT_REGION", "AWS_S3_BUCKET"), "not used"),
    "assay-signing": dict.fromkeys(("SIGNING_KEY", "SIGNING_PUBLIC_KEY"), "not used"),
    "assay-measuring": dict.fromkeys(("MEASURING_KEY", "MEASURING_PUBLIC_KEY"), "not used"),
}
SELECT = """
import json, os, pathlib
pathlib.Path("artifacts").mkdir()
for name in ("selection.json", "shortlist.csv", "data.zip"):
    pathlib.Path("artifacts", name).write_text(json.dumps({"model": os.environ["MODEL_NAME"]}))
"""
READ = """
import json, os, pathlib
read = json.loads(pathlib.Path("artifacts/selection.json").read_text())["model"]
"""
HAND_ON = (
    READ
    + """
for name in ("endpoint.json", "tokenizer.zip"):
    pathlib.Path("artifacts", name).write_text(json.dumps({"model": read}))
"""
)


@pytest.fixture
def pods(image_environment):
    """Every node runs in the light image: no notebook here measures anything."""
    return harness.Pods(lambda name: image_environment("stage"), SECRETS)


@pytest.fixture(scope="module")
def s3_bucket(s3_server):
    """One bucket: each run has a folder of its own in it."""
    return new_bucket(s3_server)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory, s3_bucket):
    """Compile a shipped pipeline, once for all tests: they differ in the cells of its nodes."""
    folder = tmp_path_factory.mktemp("shipped")

    @cache
    def compiled(name):
        with pytest.MonkeyPatch.context() as patch:
            keys = KEYS["ACCESS_KEY_ID"], KEYS["SECRET_ACCESS_KEY"]
            runtime = runtime_file(folder, patch, "http://127.0.0.1:9", s3_bucket, *keys)
            return cheap.compiled(name, s3_bucket, folder / "compiled", runtime)

    return compiled


@pytest.fixture
def draw(shipped, s3_bucket):
    """Return a shipped pipeline whose nodes are cheap: name of the pipeline, one cell by node."""

    def drawn(name, **cells):
        cheap.fill(shipped(name), s3_bucket, **cells)
        return shipped(name)

    return drawn


def told(tasks):
    logs = {task.name: task.log.read_text()[-3000:] if task.log else "" for task in tasks}
    return "\n".join(f"{task.name}: {task.state} {task.message}\n{logs[task.name]}" for task in tasks)


def uploaded(bucket, run):
    """What a run left in the bucket, by its name below the run's folder."""
    found = [key for key in bucket.keys() if f"/{run}/" in key]  # noqa: SIM118, not a dict
    return {key.partition(f"/{run}/")[2]: key for key in found}


def test_two_runs_of_one_version_at_once_end_each_with_its_own_model(draw, pods, tmp_path, s3_bucket):
    # The second nodes wait for each other: both runs have written their selection before either reads it again.
    meet = f"""{HAND_ON}
import time
meeting = pathlib.Path("{tmp_path}")
(meeting / f"{{os.environ['ELYRA_RUN_NAME']}}.here").touch()
while len(list(meeting.glob("*.here"))) < 2:
    time.sleep(0.1)
"""
    measure = READ + 'pathlib.Path("artifacts/chat.json").write_text(json.dumps({"model": read}))\n'
    measure += 'for name in ("chat.guidellm.json", "chat.repeats.json", "chat.guidellm.html"):\n'
    measure += '    pathlib.Path("artifacts", name).touch()\n'
    version = draw("ai-engineer", registry_lookup=SELECT, deploy_model=meet, guidellm_sweep=measure)
    ended = {}

    def run(model):
        tasks = version.tasks()[:3]
        ended[model] = harness.execute(version, pods, tmp_path / f"run-{model}", {"MODEL_NAME": model}, tasks)

    threads = [threading.Thread(target=run, args=(model,)) for model in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for tasks in ended.values():
        assert [task.state for task in tasks] == ["SUCCEEDED"] * 3, told(tasks)
    files = {model: tasks[-1].folder / "artifacts" / "chat.json" for model, tasks in ended.items()}
    assert {model: json.loads(file.read_text())["model"] for model, file in files.items()} == {
        "one": "one",
        "two": "two",
    }
    for model in ended:
        found = uploaded(s3_bucket, f"run-{model}")
        assert {"registry_lookup.ipynb", "deploy_model.html", "artifacts/chat.json"} <= set(found)
        assert json.loads(s3_bucket.get(found["artifacts/chat.json"])) == {"model": model}


RED = """
import pathlib
from helpers.errors import GateFailed
with pathlib.Path({started!r}).open("a") as file:
    file.write("started\\n")
pathlib.Path("artifacts", "gate.json").write_text('{{"state": "fail"}}')
pathlib.Path("artifacts", "gate.md").write_text("worse")
raise GateFailed("canvas-tiny is worse than its baseline", do="Keep the baseline")
"""


def deployed(name, run):
    metadata = {"name": name, "labels": {MANAGED: "assay", RUN: run}}
    return {"kind": "InferenceService", "metadata": metadata, "spec": {}}


def left(kubernetes_api):
    return [item["metadata"]["name"] for item in kubernetes_api.all("InferenceService")]


def test_a_red_gate_keeps_its_verdict_frees_its_server_and_says_why(draw, pods, tmp_path, s3_bucket, kubernetes_api):
    pods.platform = harness.in_cluster(kubernetes_api.kubeconfig())
    kubernetes_api.put(deployed("assay-mine", "red"))
    kubernetes_api.put(deployed("assay-others", "green"))
    version = draw("regression", regression_gate=RED.format(started=str(tmp_path / "started")))
    task = cheap.alone(version, "regression_gate", s3_bucket, "red", retried=True)
    harness.execute(version, pods, tmp_path / "red", {}, [task])
    assert task.state == "FAILED"
    found = uploaded(s3_bucket, "red")
    assert s3_bucket.get(found["artifacts/gate.json"]) == b'{"state": "fail"}'
    assert s3_bucket.get(found["artifacts/gate.md"]) == b"worse"
    assert {"regression_gate.ipynb", "regression_gate.html"} <= set(found)
    reason = "GateFailed: canvas-tiny is worse than its baseline. Keep the baseline."
    assert task.message == f"{reason} No server of this run stands.", told([task])
    assert left(kubernetes_api) == ["assay-others"]
    # What the platform tries again ends the same, and the notebook is not started.
    assert len(task.attempts) > 1
    assert (tmp_path / "started").read_text() == "started\n"


@pytest.mark.load
def test_a_store_that_is_away_when_a_node_starts_and_ends_loses_nothing(
    write_runtime, pods, tmp_path, s3_bucket, s3_server
):
    pods.platform = {"KUBERNETES_SERVICE_HOST": "127.0.0.1"}
    measured = f"""{HAND_ON}
import time
pathlib.Path({str(tmp_path / "measured")!r}).touch()
while not pathlib.Path({str(tmp_path / "shut")!r}).exists():
    time.sleep(0.1)
"""
    with door(s3_server) as entrance:
        bucket = Bucket(entrance.address, s3_bucket.name)
        runtime = write_runtime("http://127.0.0.1:9", bucket)
        version = cheap.compiled("ai-engineer", bucket, tmp_path / "compiled", runtime, deploy_model=measured)
        task = cheap.alone(version, "deploy_model", s3_bucket, "patient")
        for key in uploaded(s3_bucket, "patient").values():
            s3_bucket.put(key, b'{"model": "one"}')
        entrance.away(20, "refused")  # Elyra's own gives up after 13 s
        thread = threading.Thread(target=harness.execute, args=(version, pods, tmp_path / "patient", {}, [task]))
        thread.start()
        while not (tmp_path / "measured").exists() and thread.is_alive():
            time.sleep(0.1)
        entrance.away(20, "busy")
        (tmp_path / "shut").touch()
        thread.join()
    assert task.state == "SUCCEEDED", told([task])
    found = uploaded(s3_bucket, "patient")
    assert json.loads(s3_bucket.get(found["artifacts/endpoint.json"])) == {"model": "one"}
    assert "Waiting for the store" in task.log.read_text()


MEASURE = """
import pathlib, time
kept = pathlib.Path("artifacts", "partial", "answers.jsonl")
before = kept.read_text() if kept.exists() else ""
kept.parent.mkdir(parents=True, exist_ok=True)
kept.write_text(before + "one answer\\n")
for _ in range(1200):  # the first attempt is killed here
    if before:
        break
    time.sleep(0.1)
for name in ("knowledge.json", "knowledge.lm_eval.json", "knowledge.samples.jsonl"):
    pathlib.Path("artifacts", name).write_text(kept.read_text())
"""


@pytest.mark.load
def test_what_a_killed_pod_had_measured_is_there_for_the_next_attempt(draw, pods, tmp_path, s3_bucket):
    version = draw("ai-engineer", lm_eval_task=MEASURE)
    task = cheap.alone(version, "lm_eval_task", s3_bucket, "killed", retried=True)
    thread = threading.Thread(target=harness.execute, args=(version, pods, tmp_path / "killed", {}, [task]))
    thread.start()
    while not any(name.startswith("partial/") for name in uploaded(s3_bucket, "killed")):
        assert thread.is_alive(), told([task])
        time.sleep(0.2)
    harness.kill(task)
    thread.join()
    assert (task.state, len(task.attempts)) == ("SUCCEEDED", 2), told([task])
    found = uploaded(s3_bucket, "killed")
    assert s3_bucket.get(found["artifacts/knowledge.json"]) == b"one answer\n" * 2


def test_a_kernel_that_is_killed_says_for_what_and_frees_its_server(draw, pods, tmp_path, s3_bucket, kubernetes_api):
    pods.platform = harness.in_cluster(kubernetes_api.kubeconfig())
    kubernetes_api.put(deployed("assay-mine", "struck"))
    killed = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    version = draw("ai-engineer", guidellm_sweep=killed)
    task = cheap.alone(version, "guidellm_sweep", s3_bucket, "struck")
    harness.execute(version, pods, tmp_path / "struck", {}, [task])
    assert task.state == "FAILED"
    for words in ("guidellm_sweep was killed, most likely for", "memory", "limit", "No server of this run stands."):
        assert words in task.message, told([task])
    assert not left(kubernetes_api)
    assert "guidellm_sweep.html" in uploaded(s3_bucket, "struck")


def bootstrapper_in(task):
    """The process of a node's bootstrapper."""
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(task.folder) and any("bootstrapper.py" in word for word in process.cmdline()[1:2]):
                return process
        except psutil.Error:
            continue
    return None


def test_a_node_that_is_told_to_stop_frees_its_server_first(draw, pods, tmp_path, s3_bucket, kubernetes_api):
    pods.platform = harness.in_cluster(kubernetes_api.kubeconfig())
    kubernetes_api.put(deployed("assay-mine", "stopped"))
    working = "import pathlib, time\npathlib.Path('working').touch()\ntime.sleep(600)"
    version = draw("ai-engineer", guidellm_sweep=working)
    task = cheap.alone(version, "guidellm_sweep", s3_bucket, "stopped")
    thread = threading.Thread(target=harness.execute, args=(version, pods, tmp_path / "stopped", {}, [task]))
    thread.start()
    while task.folder is None or not (task.folder / "working").exists():
        assert thread.is_alive(), told([task])
        time.sleep(0.1)
    bootstrapper_in(task).terminate()
    thread.join()
    assert task.state == "FAILED"
    assert task.message.startswith("Terminated: "), told([task])
    assert task.message.endswith("No server of this run stands.")
    assert not left(kubernetes_api)
    assert "guidellm_sweep.html" in uploaded(s3_bucket, "stopped")


def test_an_exit_task_does_without_what_was_never_written_and_overwrites_nothing(draw, pods, tmp_path, s3_bucket):
    ending = "from helpers.artifacts import write_atomic, FOLDER\nwrite_atomic(FOLDER / 'removed.json', b'{}')"
    version = draw("ai-engineer", remove_deployment=ending)
    task = cheap.alone(version, "remove_deployment (exit)", None, "ended")
    harness.execute(version, pods, tmp_path / "ended", {}, [task])
    assert task.state == "SUCCEEDED", told([task])
    wanted = {"remove_deployment.ipynb", "remove_deployment.html", "artifacts/removed.json"}
    assert set(uploaded(s3_bucket, "ended")) == {f"exit/{name}" for name in wanted}


def test_an_input_that_is_missing_is_named_where_the_user_looks(draw, pods, tmp_path):
    version = draw("ai-engineer", deploy_model=HAND_ON)
    task = cheap.alone(version, "deploy_model", None, "missing")
    harness.execute(version, pods, tmp_path / "missing", {}, [task])
    assert task.message.startswith("ArtifactMissing: "), told([task])
    # Which of the inputs comes first is up to Elyra, which keeps them in a set.
    handed_on = {name for node in Pipeline("ai-engineer").nodes for name in node["outputs"]}
    assert any(name in task.message for name in handed_on), told([task])
