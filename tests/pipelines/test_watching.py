"""What `WATCH=true` says: why a stage failed, which servers stand, which attempt runs, that the server is away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from helpers.errors import InvalidInput, PipelinesUnreachable, StageFailed
from helpers.pipelines import Pipeline, finishing, project, server, submitting, watching
from helpers.pipelines.submitting import Submitted
from helpers.runtime.workspace import ROOT
from tests.pipelines.test_endings import compiled_by_elyra
from tests.plugins import harness
from tests.plugins.cluster import RUNNER

BUILT = ("--images", "quay.io/mine")
REMOVE, OPS = Pipeline("remove-expired"), Pipeline("model-ops")
LAST = "NotSchedulable: no node has a free GPU. Free one, then retry the run."
WORKFLOWS = [{"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["list"]}]


def begun(api, folder):
    """Start a run of one node, and return what its submission would have returned; it ends well at once."""
    path = folder / "remove-expired.yaml"
    path.write_text(compiled_by_elyra(remove_deployment="true"))
    finishing.finish(path, {}, {})
    api.upload_pipeline({"name": "remove-expired"}, path.read_text())
    reference = {"pipeline_version_id": list(api.versions)[-1]}
    experiment = api.create_experiment({}, {"display_name": "remove-expired"})["experiment_id"]
    run_id = api.create_run({}, {"experiment_id": experiment, "pipeline_version_reference": reference})["run_id"]
    api.wait(30)
    url = f"https://dashboard.example/runs/{run_id}"
    return Submitted(run_id, url, f"remove-expired-1/{run_id}", finishing.stages(path))


@pytest.fixture
def run(pipelines_api, runtime, tmp_path):
    """A run that failed in remove_deployment."""
    submitted = begun(pipelines_api, tmp_path)
    started = pipelines_api.wait(30)
    started.state, started.tasks[0].state = "FAILED", "FAILED"
    started.tasks[0].attempts[-1].history[-1] = "FAILED"
    return submitted


def followed(run, runtime, pipeline=REMOVE, **options):
    """Follow until the run has failed; return the lines and the error."""
    lines: list[str] = []
    with pytest.raises(StageFailed) as failed:
        watching.follow(run, pipeline, server.find(runtime), lines.append, interval=0.02, **options)
    return [" ".join(line.split()) for line in lines], failed.value


def a_pod(run, state):
    name = f"remove-expired-abc.root.{next(iter(run.stages))}.executor"
    metadata = {
        "name": "pod-1", "labels": {"pipeline/runid": run.run_id},
        "annotations": {"workflows.argoproj.io/node-name": name},
    }  # fmt: skip
    statuses = [{"name": "main", "state": {"terminated": state}}, {"name": "wait", "state": {}}]
    return {"kind": "Pod", "metadata": metadata, "status": {"phase": "Failed", "containerStatuses": statuses}}


def a_workflow(run, message):
    name = f"remove-expired-abc.root.{next(iter(run.stages))}.executor(2)"
    node = {"type": "Pod", "name": name, "phase": "Failed", "message": message}
    labels = {"pipeline/runid": run.run_id}
    metadata = {"name": "remove-expired-abc", "labels": labels}
    return {"kind": "Workflow", "metadata": metadata, "spec": {}, "status": {"nodes": {"a": node}}}


def test_the_last_error_is_what_the_pod_said_last(run, runtime, kubernetes_api):
    kubernetes_api.put(a_pod(run, {"exitCode": 1, "message": LAST, "finishedAt": "2026-11-28T21:08:22Z"}))
    _, error = followed(run, runtime)
    assert f"failed in remove_deployment: {LAST.rstrip('.')}" in error.what
    assert "No server of it stands" in error.do


def test_a_pod_that_was_killed_for_memory_is_called_that(run, runtime, kubernetes_api):
    kubernetes_api.put(a_pod(run, {"exitCode": 137, "reason": "OOMKilled"}))
    _, error = followed(run, runtime)
    assert "more memory than its limit" in error.what


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (f"main: Error (exit code 1): {LAST}", LAST.rstrip(".")),
        ("main: OOMKilled (exit code 1)", "more memory than its limit"),
        ("pod deleted", "pod deleted"),
    ],
)
def test_without_the_pod_the_workflow_is_asked(run, runtime, kubernetes_api, message, said):
    kubernetes_api.rules.grant(RUNNER, WORKFLOWS, "evaluation")
    kubernetes_api.put(a_workflow(run, message))
    _, error = followed(run, runtime)
    assert said in error.what
    assert "exit code" not in error.what


def test_a_run_that_somebody_stopped_is_called_that(run, runtime, kubernetes_api):
    kubernetes_api.rules.grant(RUNNER, WORKFLOWS, "evaluation")
    kubernetes_api.put(
        a_workflow(run, "workflow shutdown with strategy: Terminate") | {"spec": {"shutdown": "Terminate"}}
    )
    _, error = followed(run, runtime)
    assert "remove-expired was stopped in remove_deployment" in error.what


def test_without_both_the_executed_notebook_in_the_bucket_is_read(run, runtime, s3_bucket):
    output = {"output_type": "error", "ename": "NotSchedulable", "evalue": LAST.partition(": ")[2], "traceback": []}
    notebook = {"cells": [{"cell_type": "code", "outputs": [output]}]}
    s3_bucket.put(f"{run.files}/remove_deployment.ipynb", json.dumps(notebook).encode())
    _, error = followed(run, runtime)
    assert LAST.rstrip(".") in error.what


def test_a_server_that_still_stands_is_named_with_how_to_free_it(run, runtime, kubernetes_api):
    metadata = {"name": "granite", "labels": {"assay/run": run.run_id}}
    kubernetes_api.put({"kind": "InferenceService", "metadata": metadata, "spec": {}})
    other = {"name": "other", "labels": {"assay/run": "another"}}
    kubernetes_api.put({"kind": "InferenceService", "metadata": other, "spec": {}})
    _, error = followed(run, runtime)
    assert "granite of this run still stands" in error.do
    assert f"oc delete inferenceservice -l assay/run={run.run_id}" in error.do
    assert "other" not in error.do


def test_where_no_cluster_can_be_seen_it_says_how_to_free_a_server(run, runtime, monkeypatch, tmp_path):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    _, error = followed(run, runtime)
    assert "cannot be seen" in error.do
    assert f"assay/run={run.run_id}" in error.do


def test_nobody_is_sent_to_a_private_bucket(run, runtime, s3_bucket):
    _, error = followed(run, runtime)
    assert s3_bucket.endpoint not in str(error)
    assert run.url in error.do


def test_attempts_are_told_with_what_ended_each(pipelines_api, runtime, kubernetes_api, tmp_path):
    submitted = begun(pipelines_api, tmp_path)
    started = pipelines_api.wait(30)
    kubernetes_api.put(a_pod(submitted, {"exitCode": 1, "message": "StoreUnreachable: away."}))
    task, states = started.tasks[0], []

    def play():
        """The states that a run goes through, one for each look."""
        started.state, task.state = "RUNNING", "RUNNING"
        task.attempts = [harness.Attempt(["PENDING", "RUNNING", "FAILED"])]
        yield
        task.attempts.append(harness.Attempt(["PENDING"]))
        yield
        task.attempts[-1].history.append("RUNNING")
        yield
        task.attempts[-1].history.append("SUCCEEDED")
        task.attempts[-1].ended = datetime.now(UTC)
        started.state = task.state = "SUCCEEDED"
        yield

    steps = play()

    def say(line):
        states.append(" ".join(line.split()))
        next(steps, None)

    next(steps)
    watching.follow(submitted, REMOVE, server.find(runtime), say, interval=0.02)
    assert states == [
        "remove_deployment attempt 1 failed, it is tried again (StoreUnreachable: away.)",
        "remove_deployment waiting (attempt 2)",
        "remove_deployment running (attempt 2)",
        "remove_deployment succeeded",
    ]


@pytest.mark.parametrize("status", [0, 502, 503])
def test_a_server_that_is_away_for_a_moment_is_asked_again(pipelines_api, runtime, status, tmp_path):
    run = begun(pipelines_api, tmp_path)
    lines: list[str] = []
    pipelines_api.runs[run.run_id].state = "RUNNING"
    original = pipelines_api.get_run

    def once_away(*given):
        pipelines_api.get_run = original
        pipelines_api.away = [status] * 3
        answer = original(*given)
        pipelines_api.runs[run.run_id].state = "SUCCEEDED"
        return answer

    pipelines_api.get_run = once_away
    watching.follow(run, REMOVE, server.find(runtime), lines.append, interval=0.02)
    assert lines[-1].split() == ["remove_deployment", "succeeded"]
    assert not pipelines_api.away


def test_a_server_that_stays_away_ends_the_watch_and_not_the_run(pipelines_api, runtime, tmp_path):
    run = begun(pipelines_api, tmp_path)
    pipelines_api.refuse(f"GET /runs/{run.run_id}", 503, 14, "no healthy upstream")
    with pytest.raises(PipelinesUnreachable, match=r"is away: 503.*second one"):
        watching.follow(run, REMOVE, server.find(runtime), print, interval=0.02, patience=0.5)


def test_a_token_that_expires_ends_the_watch_and_not_the_run(pipelines_api, runtime, tmp_path):
    run = begun(pipelines_api, tmp_path)
    pipelines_api.refuse(f"GET /runs/{run.run_id}", 401, 16, "Unauthorized")
    with pytest.raises(PipelinesUnreachable, match="refused the token"):
        watching.follow(run, REMOVE, server.find(runtime), print, interval=0.02)


@pytest.mark.parametrize(
    ("ending", "code", "said"), [("failed", 1, "StageFailed"), ("lost", 3, "The run goes on: https://dashboard")]
)
def test_a_failed_run_and_a_lost_one_end_with_different_codes(pipelines_api, runtime, ending, code, said):
    original = pipelines_api.get_run

    def get_run(query, body, run_id):
        shown = original(query, body, run_id)
        pipelines_api.runs[run_id].ended.wait(30)
        if ending == "lost":
            pipelines_api.refuse(f"GET /runs/{run_id}", 401, 16, "Unauthorized")
        return shown | {"state": "FAILED" if ending == "failed" else "RUNNING"}

    pipelines_api.get_run = get_run
    command = [
        sys.executable,
        "-m",
        "helpers.pipelines",
        "submit",
        "remove-expired",
        "--runtime",
        runtime,
        "--watch",
        *BUILT,
    ]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=300)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr


# Before anything is submitted


def prepared(cluster, *, without=""):
    """A project with a pipeline server and the Secrets that the nodes need."""
    cluster.put({"kind": "Service", "metadata": {"name": "ds-pipeline-dspa"}})
    wanted = project.secrets_of(OPS, server.Runtime("r", {"cos_secret": "pipelines-store"}))
    for name, keys in wanted.items():
        data = {key: "eA==" for key in keys if key != without}
        if name != without:
            cluster.put({"kind": "Secret", "metadata": {"name": name}, "data": data})


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("assay-store", "there is no Secret assay-store, which ingest_model needs"),
        ("pipelines-store", "there is no Secret pipelines-store, which every node needs"),
        ("SIGNING_KEY", "the Secret assay-signing has no SIGNING_KEY, which ingest_model needs"),
    ],
)
def test_a_secret_that_is_known_to_be_missing_is_refused(
    pipelines_api, runtime, kubernetes_api, s3_bucket, without, said
):
    prepared(kubernetes_api, without=without)
    with pytest.raises(InvalidInput, match=f"A node would wait for ever: {said}"):
        submitting.submit(runtime, OPS, {"SOURCE": "hf://acme/model"}, say=lambda line: None)
    assert not pipelines_api.runs
    assert not s3_bucket.keys()


def test_where_the_account_may_not_look_nothing_is_refused(pipelines_api, runtime, kubernetes_api):
    prepared(kubernetes_api, without="assay-store")
    kubernetes_api.rules.revoke("get", "secrets")
    project.check_secrets(project.secrets_of(OPS, server.find(runtime)), server.find(runtime))


def test_in_a_project_that_is_not_the_runtimes_nothing_is_refused(pipelines_api, runtime, kubernetes_api):
    project.check_secrets(project.secrets_of(OPS, server.find(runtime)), server.find(runtime))
    assert not kubernetes_api.all("Secret")
