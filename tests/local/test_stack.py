"""The local stack and the pipeline runner, as `make up`, `make lab` and `make run` use them; no vLLM here."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from helpers.errors import InvalidParameter, StageFailed
from helpers.local import pipelines, stack
from helpers.registry import connect
from helpers.runtime import processes
from helpers.runtime.polling import wait_for
from helpers.runtime.workspace import ROOT


@pytest.fixture
def running():
    yield stack.up()
    stack.down()


def test_up_starts_the_registry_once_and_everybody_finds_it(running):
    assert stack.up() == running
    assert connect("local").address == running
    assert stack.status()[0] == f"registry: {running}"


def test_the_registry_outlives_a_command_and_inherits_no_key_of_it(monkeypatch):
    monkeypatch.setenv("ENDPOINT_API_KEY", "canary-of-the-key")
    stack.up()
    try:
        [server] = processes.all_running()
        assert b"canary-of-the-key" not in Path(f"/proc/{server.pid}/environ").read_bytes()
    finally:
        stack.down()


def test_down_ends_it_and_keeps_what_was_registered(tmp_path):
    stack.up()
    digest = "sha256:" + "0" * 64
    connect("local").register_candidate("kept", "1", uri="file:///kept", digest=digest, size_bytes=1)
    assert "is down" in stack.down()
    assert stack.status()[0].startswith("registry: down")
    assert "not running" in stack.down()
    stack.up()
    try:
        assert [version.name for version in connect("local").versions()] == ["kept"]
    finally:
        stack.down()
    assert processes.all_running() == []


def test_two_users_who_start_at_the_same_time_have_a_registry_each(tmp_path):
    homes = [tmp_path / name for name in ("ada", "ben", "cyd")]
    command = [sys.executable, "-m", "helpers.local.stack"]

    def every(word):
        own = [{"cwd": ROOT, "env": os.environ | {"ASSAY_HOME": str(home)}} for home in homes]
        told = [subprocess.Popen([*command, word], stdout=subprocess.PIPE, text=True, **each) for each in own]
        return [process.communicate(timeout=60)[0] for process in told]

    try:
        assert len(set(every("up"))) == len(homes)
    finally:
        ended = every("down")
    assert [str(home) in told for home, told in zip(homes, ended, strict=True)] == [True] * 3


def test_the_commands_print_one_line(tmp_path):
    def command(name):
        done = subprocess.run(
            [sys.executable, "-m", "helpers.local.stack", name], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert command("status").startswith("registry: down")
    assert command("up").startswith("registry: http://127.0.0.1:")
    assert "is down" in command("down")


def test_an_unknown_pipeline_parameter_is_refused_by_name():
    with pytest.raises(InvalidParameter, match="Pipeline model-ops has no parameter SORUCE"):
        pipelines.Pipeline("model-ops").environment({"SORUCE": "x"})


def test_defaults_of_pipeline_parameters_reach_a_local_run():
    environment = pipelines.Pipeline("model-ops").environment({"MODEL_NAME": "mine"})
    assert environment["MODEL_NAME"] == "mine"
    assert environment["WARMUP"] == "4"
    assert "" not in environment.values(), "an empty default is the notebook's own"


def test_a_failed_stage_is_named_with_its_error_and_its_notebook_is_kept(running, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    with pytest.raises(StageFailed, match=r"failed in ingest_model: .*RefusedModel .*holds no safetensors weights"):
        pipelines.run("model-ops", tmp_path / "run", {"SOURCE": str(tmp_path / "empty"), "REGISTRY": running})
    assert "FAILED" in capsys.readouterr().out
    page = (tmp_path / "run" / "notebooks" / "ingest_model.html").read_text()
    assert "holds no safetensors weights" in page
    assert not (tmp_path / "run" / "notebooks" / "deploy_model.html").exists()
    source = json.loads((ROOT / "notebooks" / "ingest_model.ipynb").read_text())
    assert not any(cell.get("outputs") for cell in source["cells"]), "Elyra writes into a copy"


@pytest.mark.parametrize(("source", "said"), [("elsewhere", "elsewhere"), ("here", "holds no safetensors weights")])
def test_one_pipeline_takes_its_parameters_from_the_command_line(tmp_path, monkeypatch, source, said):
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("SOURCE", "sample://ops-small")  # what a shell exports is no parameter
    given = ["--runs", str(tmp_path), f"SOURCE={source}"]
    command = [sys.executable, "-m", "helpers.local.run_pipeline", "model-ops", *given]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    finally:
        stack.down()
    assert done.returncode == 1
    assert said in done.stderr
    assert bool(list(tmp_path.glob("*-model-ops/notebooks/ingest_model.html"))) == (source == "here")


def test_lab_opens_the_workspace_with_its_runtime_images_and_the_registry(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    options = ["--no-browser", f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=t"]
    log = (tmp_path / "lab.log").open("wb")
    lab = subprocess.Popen(
        [sys.executable, "-m", "helpers.local.lab", *options], cwd=ROOT, stdout=log, stderr=log, start_new_session=True
    )

    def ask(path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}?token=t", timeout=30) as answer:
                return json.load(answer)
        except OSError:
            assert lab.poll() is None, (tmp_path / "lab.log").read_text()
            return None

    try:
        wait_for(lambda: ask("api/status"), what="JupyterLab", do="read its log", timeout=90)
        images = {item["display_name"] for item in ask("elyra/metadata/runtime-images")["runtime-images"]}
        assert images == {
            "Assay stage",
            "Assay GuideLLM",
            "Assay lm-eval",
            "Assay garak",
            "Assay promptfoo",
            "Assay train",
        }
        shown = {item["name"] for item in ask("api/contents/pipelines")["content"]}
        assert {"model-ops.pipeline", "ai-engineer.pipeline"} <= shown
        assert connect("local").versions() == []
    finally:
        os.killpg(lab.pid, signal.SIGTERM)
        lab.wait(timeout=30)
        log.close()
        stack.down()
