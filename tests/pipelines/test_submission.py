"""`make submit` against a Pipelines server: what arrives there, and what a user reads when it does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import yaml

from helpers.errors import (
    Forbidden,
    InvalidInput,
    InvalidParameter,
    NotFound,
    PipelinesUnreachable,
    StoreFailed,
    StoreUnreachable,
    SubmissionFailed,
)
from helpers.pipelines import Pipeline, compiling, server, submitting, watching
from helpers.runtime.workspace import ROOT
from tests.pipelines.conftest import drawn
from tests.plugins.certificates import make_certificates
from tests.plugins.pipelines_api import PipelinesApi, serving_pipelines
from tests.plugins.stores import Bucket

BUILT = ("--images", "quay.io/mine")
REMOVE = Pipeline("remove-expired")
ENGINEER = Pipeline("ai-engineer").wanted({})


def nothing(_line):
    """Say nothing."""


def uploaded(api):
    return list(api.files.values())[-1]


def test_the_run_that_starts_is_the_pipeline_with_the_parameters(pipelines_api, runtime, s3_bucket):
    lines = []
    given = {"MODEL_NAME": "granite", "MIN_BASELINE_ACCURACY": "0.5"}
    run = submitting.submit(runtime, ENGINEER, given, say=lines.append)
    (started,) = pipelines_api.runs.values()
    assert run.url == f"https://dashboard.example/external/elyra/evaluation/runs/{started.body['run_id']}"
    assert started.compiled.name == "ai-engineer"
    declared = started.compiled.spec["root"]["inputDefinitions"]["parameters"]
    assert declared["MODEL_NAME"]["defaultValue"] == "granite"
    assert declared["MIN_BASELINE_ACCURACY"]["defaultValue"] == 0.5
    assert declared["USE_CASE"]["defaultValue"] == "ops-assistant"
    uploads = s3_bucket.keys()
    archives = [key for key in uploads if key.endswith(".tar.gz")]
    assert len(archives) == len(ENGINEER.stages)
    assert run.files == f"{archives[0].partition('/')[0]}/{started.body['run_id']}"
    assert started.body["runtime_config"]["parameters"] == {"MODEL_NAME": "granite", "MIN_BASELINE_ACCURACY": 0.5}
    assert lines[0].startswith("MODEL_NAME=granite MIN_BASELINE_ACCURACY=0.5 (and as shipped: MODEL_VERSION=auto ")
    told = " ".join(lines)
    for word in (
        "8 stages",
        "assay-measuring, assay-signing, assay-store",
        "takes the token",
        "pipeline compiled",
        "pipeline uploaded",
    ):
        assert word in told


def test_a_second_submission_is_a_new_version_of_the_same_pipeline(pipelines_api, runtime):
    submitting.submit(runtime, REMOVE, {}, say=nothing)
    submitting.submit(runtime, REMOVE, {}, say=nothing)
    assert len(pipelines_api.pipelines) == 1
    assert len(pipelines_api.versions) == 2
    assert len(pipelines_api.experiments) == 1
    assert len(pipelines_api.runs) == 2


def test_images_of_the_users_own_project_take_the_place_of_the_shipped(pipelines_api, runtime):
    project = "image-registry.openshift-image-registry.svc:5000/evaluation"
    submitting.submit(runtime, ENGINEER, {}, images=project, say=nothing)
    (run,) = pipelines_api.runs.values()
    images = {container["image"] for container in run.compiled.containers().values()}
    assert images == {f"{project}/{name}:0.1.0" for name in ("stage", "guidellm", "lm-eval")}


def test_a_private_authority_is_trusted_where_a_workbench_names_it(write_runtime, s3_bucket, tmp_path, monkeypatch):
    certificates = make_certificates(tmp_path)
    for variable in ("KF_PIPELINES_SSL_SA_CERTS", "PIPELINES_SSL_SA_CERTS"):
        monkeypatch.delenv(variable, raising=False)
    with serving_pipelines(PipelinesApi("service-account-token", tmp_path), certificates.server) as api:
        name = write_runtime(api.address, s3_bucket)
        with pytest.raises(PipelinesUnreachable, match=r"certificate.*let KF_PIPELINES_SSL_SA_CERTS name"):
            submitting.submit(name, REMOVE, {}, say=nothing)
        # The variable of OpenShift AI 2.25; Elyra 5 reads another one, which is set and has to be gone afterwards.
        monkeypatch.setenv("PIPELINES_SSL_SA_CERTS", str(certificates.authority))
        monkeypatch.setenv("KF_PIPELINES_SSL_SA_CERTS", "")
        monkeypatch.delenv("KF_PIPELINES_SSL_SA_CERTS")
        submitting.submit(name, REMOVE, {}, say=nothing)
        assert len(api.runs) == 1


def test_a_pipeline_is_found_by_its_name_on_the_cluster_too():
    assert Pipeline("ai-engineer").file == ENGINEER.file
    with pytest.raises(NotFound, match=r"There is no pipeline 'ai'. Name one of ai-engineer, fine-tune, model-ops"):
        Pipeline("ai")


def test_an_unknown_runtime_is_answered_with_those_that_exist(runtime):
    with pytest.raises(NotFound, match=r"called 'odh_dps'; there are odh_dsp\."):
        submitting.submit("odh_dps", REMOVE, {}, say=nothing)


def test_keys_that_would_end_up_in_the_pipeline_are_refused(write_runtime, pipelines_api, s3_bucket):
    name = write_runtime(pipelines_api.address, s3_bucket, cos_auth_type="USER_CREDENTIALS")
    with pytest.raises(InvalidInput, match=r"names no Secret .* Set its cos_auth_type to KUBERNETES_SECRET"):
        submitting.submit(name, REMOVE, {}, say=nothing)
    assert not pipelines_api.requests


def test_a_refused_token_is_said_at_once(write_runtime, pipelines_api, s3_bucket, tmp_path):
    name = write_runtime(pipelines_api.address, s3_bucket)
    (tmp_path / "token").write_text("expired")
    with pytest.raises(Forbidden, match=r"odh_dsp .*refused the token: 401 Unauthorized.*ds-pipeline-user-access"):
        submitting.submit(name, REMOVE, {}, say=nothing)
    assert not s3_bucket.keys()


def test_a_missing_token_is_said_before_anything_is_sent(write_runtime, pipelines_api, s3_bucket, tmp_path):
    name = write_runtime(pipelines_api.address, s3_bucket)
    (tmp_path / "token").unlink()
    with pytest.raises(Forbidden, match="has no token for"):
        submitting.submit(name, REMOVE, {}, say=nothing)
    assert not pipelines_api.requests


def test_a_server_that_is_not_there_is_named(write_runtime, s3_bucket):
    name = write_runtime("http://127.0.0.1:9", s3_bucket)
    with pytest.raises(PipelinesUnreachable, match=r"odh_dsp \(http://127.0.0.1:9\) does not answer.*api_endpoint"):
        submitting.submit(name, REMOVE, {}, say=nothing)


def test_a_missing_experiment_is_named(pipelines_api, runtime):
    chain = "Failed to create a new run: Failed to fetch namespace: ResourceNotFoundError: "
    pipelines_api.refuse("POST /runs", 404, 5, f"{chain}Experiment 4711 not found")
    with pytest.raises(NotFound, match="does not know the experiment remove-expired: Experiment 4711 not found"):
        submitting.submit(runtime, REMOVE, {}, say=nothing)


def test_a_name_that_is_taken_is_said(pipelines_api, runtime):
    pipelines_api.refuse("POST /pipelines/upload", 409, 6, "Failed to create a pipeline and a pipeline version")
    with pytest.raises(SubmissionFailed, match=r"has that name already.*Submit it again"):
        submitting.submit(runtime, REMOVE, {}, say=nothing)


def test_an_archived_experiment_is_refused_before_anything_is_sent(pipelines_api, runtime, s3_bucket):
    experiment = pipelines_api.create_experiment({}, {"display_name": "remove-expired"})
    experiment["storage_state"] = "ARCHIVED"
    with pytest.raises(SubmissionFailed, match=r"experiment remove-expired is archived.*Restore"):
        submitting.submit(runtime, REMOVE, {}, say=nothing)
    assert not s3_bucket.keys()
    assert not pipelines_api.pipelines


def test_a_proxy_whose_server_is_gone_is_called_away(pipelines_api, runtime):
    pipelines_api.away = [503]
    with pytest.raises(PipelinesUnreachable, match="is away: 503"):
        submitting.submit(runtime, REMOVE, {}, say=nothing)


def test_other_refusals_say_what_the_server_says(pipelines_api, runtime):
    pipelines_api.refuse("POST /pipelines/upload", 400, 3, "Failed to parse the pipeline")
    with pytest.raises(SubmissionFailed, match="refused remove-expired: 400 Failed to parse the pipeline"):
        submitting.submit(runtime, REMOVE, {}, say=nothing)


class Refusing(BaseHTTPRequestHandler):
    """An S3 server that knows nobody."""

    def do_GET(self):
        body = b"<Error><Code>InvalidAccessKeyId</Code><Message>who?</Message><Resource>/</Resource></Error>"
        self.send_response(403)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    do_HEAD = do_PUT = do_GET

    def log_message(self, format, *args):
        """Say nothing."""


def test_an_object_store_that_refuses_is_named(write_runtime, pipelines_api):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        name = write_runtime(pipelines_api.address, Bucket(f"http://127.0.0.1:{server.server_port}", "archives"))
        with pytest.raises(StoreFailed, match=r"store of runtime odh_dsp .*refused the nodes' archives.*cos_username"):
            submitting.submit(name, REMOVE, {}, say=nothing)
    finally:
        server.shutdown()
        server.server_close()


def test_an_object_store_that_is_not_there_is_named(write_runtime, pipelines_api):
    name = write_runtime(pipelines_api.address, Bucket("http://127.0.0.1:9", "archives"))
    with pytest.raises(StoreUnreachable, match=r"store of runtime odh_dsp .*does not answer.*cos_endpoint"):
        submitting.submit(name, REMOVE, {}, say=nothing)


@pytest.mark.parametrize(
    ("given", "images", "message"),
    [
        ({"MODLE_NAME": "x"}, "", r"has no parameter MODLE_NAME \(Use one of .*MODEL_NAME"),
        ({"MODEL_NAME": "a'; rm -rf /"}, "", 'MODEL_NAME holds the character "\'"'),
        ({"MODEL_NAME": ""}, "", "MODEL_NAME is empty"),
        ({"MIN_BASELINE_ACCURACY": "high"}, "", "MIN_BASELINE_ACCURACY is 'high', which is no number"),
        ({}, "quay.io/assay:latest", "IMAGES is 'quay.io/assay:latest'"),
        ({}, "https://quay.io/assay", "IMAGES is 'https://quay.io/assay'"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_sent(given, images, message):
    with pytest.raises(InvalidParameter, match=message):
        compiling.check(ENGINEER, given, images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"runtime_image": "Quay.io/Assay"}, "Node remove_deployment has the image"),
        ({"kubernetes_secrets": [{"env_var": "A", "name": "my_secret", "key": "k"}]}, "which no Secret can have"),
        (
            {"kubernetes_secrets": [{"env_var": "AWS_ACCESS_KEY_ID", "name": "s", "key": "k"}]},
            "would hide the runtime's",
        ),
    ],
)
def test_a_node_that_cannot_start_is_refused(change, message):
    pipeline = Pipeline("remove-expired")
    pipeline.nodes[0].update(change)
    with pytest.raises(InvalidInput, match=message):
        compiling.check(pipeline, {}, "")


def test_a_run_is_followed_until_it_ends(pipelines_api, runtime):
    run = submitting.submit(runtime, ENGINEER, {}, say=nothing)
    lines = []
    watching.follow(run, ENGINEER, server.find(runtime), lines.append, interval=0.05)
    ended = [line.removesuffix("succeeded").strip() for line in lines if line.endswith("succeeded")]
    assert ended == [*drawn(ENGINEER), "remove_deployment (exit)"]


def test_the_command_prints_the_link_and_nothing_secret(pipelines_api, runtime):
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
    assert (done.returncode, done.stderr) == (0, "")
    (run,) = pipelines_api.runs
    assert f"run:   https://dashboard.example/external/elyra/evaluation/runs/{run}" in done.stdout
    assert "remove_deployment  succeeded" in done.stdout
    for secret in ("test-secret-key", "service-account-token"):
        assert secret not in done.stdout + done.stderr + uploaded(pipelines_api)


def test_what_was_uploaded_names_its_secrets_and_holds_none(pipelines_api, runtime):
    submitting.submit(runtime, ENGINEER, {}, say=nothing)
    spec, platform = yaml.safe_load_all(uploaded(pipelines_api))
    assert "test-access-key" not in uploaded(pipelines_api)
    names = {
        item["secretName"]
        for executor in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values()
        for item in executor["secretAsEnv"]
    }
    needed = {"pipelines-store", "assay-store", "assay-signing", "assay-measuring"}
    assert names == needed | {"assay-mlflow", "assay-notify"}, "the last two are optional"
    assert "cos-user" not in json.dumps(spec)
