"""What is served is what was verified: no other place, image, argument or file gets in between, refused by name."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys

import pytest
from pydantic import ValidationError

from helpers import errors, serving
from helpers.ingestion.digests import digest
from helpers.serving.kserve.check_and_serve import OTHER_FILES
from helpers.serving.kserve.rendering import MODEL, server_command
from tests.plugins.packages import model_folder
from tests.plugins.records import a_selection
from tests.serving import histories as h
from tests.serving.conftest import answers, name, project, quick, selection
from tests.serving.conftest import settings as on_cluster

__all__ = ["answers", "name", "project", "quick", "selection"]
SHARD = "model-00001-of-00002.safetensors"

OTHER_MODEL = [
    "--model /other", "--model=/other", "--mod=/other", "--model_tag=/other", "--enforce-eager /other",
    "--seed=1 /other", "--tokenizer org/other", "--tokeniz=org/other",
    "--lora-modules a=/lora", "--lora_modules=a=/lora", "--enable-lora",
    "--speculative-config.model=/draft", "--speculative_config.model /draft", "--hf-config-path=/other",
    "--hf-overrides.architectures=X", "--revision=main", "--config=/my.yaml", "--load-format=dummy",
    "--generation-config=/other", "--chat-template=/other.jinja", "--override-generation-config.temperature=0",
    "--served-model-name=other", "--no-seed", "---seed=1", "-cc.backend=x",
]  # fmt: skip
CODE = [
    "--trust-remote-code", "--trust_remote_code", "--middleware=my.code", "--logits-processors my.code",
    "--worker-cls x", "--worker-extension-cls=x", "--tool-parser-plugin=/x.py", "--reasoning-parser-plugin=/x.py",
    "--distributed-executor-backend=my.code.Executor", "--compilation-config.backend=x", "-O.backend=x", "--dtype=/x",
    "--scheduler-cls=x", "--io-processor-plugin=x", "--additional-config.x=1", "--kv-transfer-config.kv_connector=x",
]  # fmt: skip
DOORS = [
    "--host=0.0.0.0", "--port=1", "--uds=/tmp/x", "--root-path=/x", "--api-key=x", "--api_key x", "--api-k=x",
    "--ssl-keyfile=/x", "--allowed-origins=x", "--otlp-traces-endpoint=http://x", "--allowed-local-media-path=/",
    "--enable-request-id-headers", "--log-config-file=/x", "--download-dir=/x",
]  # fmt: skip


@pytest.mark.parametrize("given", [*OTHER_MODEL, *CODE, *DOORS])
def test_an_engine_argument_that_changes_what_is_served_or_who_may_ask_is_refused(given):
    with pytest.raises((errors.InvalidParameter, ValidationError), match=r"(?i)engine_args"):
        serving.Settings(target="local", engine_args=given)


@pytest.mark.parametrize("given", [
    "", "--enforce-eager", "--dtype half --seed -1", "--max_num_seqs=8", "-tp 2", "-tp=2 --no-enable-prefix-caching",
    "--gpu-memory-utilization 0.9 --kv-cache-dtype=fp8_e5m2", "--kv-cache-memory-bytes=4G",
])  # fmt: skip
def test_what_makes_it_quicker_is_allowed(given):
    words = given.split() or ["--enforce-eager"]
    assert serving.Settings(target="local", engine_args=given).arguments == tuple(words)


@pytest.mark.parametrize("target", ["local", "kserve"])
def test_a_volume_which_cannot_be_read_from_here_is_refused(target, project):
    wanted = a_selection(uri="pvc://models/tiny")
    with pytest.raises(errors.InvalidParameter, match="pvc://models/tiny"):
        serving.deploy(wanted, on_cluster(target=target))
    assert project.all("InferenceService") == []


@pytest.mark.parametrize("target", ["local", "kserve"])
def test_an_image_under_a_tag_is_refused_before_the_registry_is_asked(target, project):
    wanted = a_selection(uri="oci://registry.invalid/models/tiny:1.0")
    with pytest.raises(errors.InvalidInput, match=r"tiny:1\.0, which names no digest"):
        serving.deploy(wanted, on_cluster(target=target))
    assert project.all("InferenceService") == []


@pytest.mark.parametrize("endpoint", ["https://other.example", "", "http://127.0.0.1:1", "s3.amazonaws.com"])
def test_a_connection_that_leads_to_another_store_is_refused(endpoint, project, selection):
    project.change("Secret", "assay-store", {"data": {"AWS_S3_ENDPOINT": base64.b64encode(endpoint.encode()).decode()}})
    with pytest.raises(errors.InvalidParameter, match=r"was verified at http://127\.0\.0\.1"):
        serving.deploy(selection, on_cluster())
    assert project.all("InferenceService") == []


@pytest.mark.parametrize(("runs", "said"), [
    ({"image": "vllm:latest"}, "tells the digest of the image"),
    ({"runs": {"command": ["python", "-m", "vllm.entrypoints.openai.api_server"]}}, "does not check the model's files"),
    ({"runs": {"args": ["--model=/mnt/other", "--port=8080"]}}, "--model is '/mnt/other'"),
    ({"runs": {"args": [f"--model={MODEL}", "--lora-modules", "a=/lora"]}}, "--lora-modules could change"),
    ({"runs": {"args": [f"--model={MODEL}", "/mnt/other"]}}, "'/mnt/other' is no option"),
])  # fmt: skip
def test_a_runtime_that_serves_otherwise_is_refused_and_removed(runs, said, project, selection, name, answers):
    project.play("InferenceService", [(1, h.ready(answers(name).url, **runs))])
    with pytest.raises(errors.InvalidDeployment, match=said):
        serving.deploy(selection, on_cluster())
    assert project.all("InferenceService") == []


def test_the_image_that_serves_is_recorded(project, selection, name, answers):
    project.play("InferenceService", [(1, h.ready(answers(name).url))])
    assert serving.deploy(selection, on_cluster()).server.image == h.IMAGE


def test_a_pod_that_finds_other_files_ends_the_stage_at_once(project, selection):
    ended = h.terminated("Error", OTHER_FILES, "Assay: /mnt/models holds sha256:1, and sha256:2 was signed")
    pod = h.at_work(main=h.container(state=ended), log="Assay: …")
    project.play("InferenceService", [(1, pod)])
    with pytest.raises(errors.DigestMismatch, match="holds sha256:1, and sha256:2 was signed"):
        serving.deploy(selection, on_cluster())
    assert project.all("InferenceService") == []


def started(model, folder):
    """Start the pod's own command, with a program that says so in place of vLLM."""
    python, *check, where = server_command(model)[:6]
    assert (where, python) == (MODEL, "python")
    command = [
        sys.executable,
        *check,
        str(folder),
        sys.executable,
        "-c",
        "import sys; print('served', sys.argv[1:])",
    ]
    (folder.parent / "hashlib.py").write_text("raise SystemExit('somebody else')")
    beside = {"cwd": folder.parent, "env": os.environ | {"PYTHONPATH": str(folder.parent)}}
    return subprocess.run([*command, "--seed=1"], capture_output=True, text=True, timeout=60, **beside)


@pytest.fixture
def in_pod(tmp_path):
    folder = model_folder(tmp_path / "models", shard=3 << 20)
    (folder / "provenance").mkdir()
    (folder / "provenance" / "model.sig").write_text("{}")
    return a_selection(digest=digest(folder)), folder


def test_the_servers_command_serves_what_was_signed(in_pod):
    done = started(*in_pod)
    assert (done.returncode, "served ['--seed=1']" in done.stdout) == (0, True), done.stderr


def link(folder):
    (folder / SHARD).rename(folder.parent / SHARD)
    (folder / SHARD).symlink_to(folder.parent / SHARD)


ATTACKS = {
    "swapped": lambda folder: (folder / SHARD).write_bytes(b"\3" * (3 << 20)),
    "added": lambda folder: (folder / "more.json").write_text("{}"),
    "added below": lambda folder: (folder / "tokenizer" / "more.txt").write_text(""),
    "removed": lambda folder: (folder / "LICENSE").unlink(),
    "renamed": lambda folder: (folder / SHARD).rename(folder / "other.safetensors"),
    "linked": lambda folder: (folder / "x").symlink_to("/etc/passwd"),
    "linked folder": lambda folder: (folder / "x").symlink_to("/etc"),
    "link in place": link,
    "empty": lambda folder: [shutil.rmtree(folder), folder.mkdir()],
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_servers_command_starts_nothing_on_other_files_also_after_a_restart(attack, in_pod):
    model, folder = in_pod
    ATTACKS[attack](folder)
    done = started(model, folder)
    assert (done.returncode, "served" in done.stdout) == (OTHER_FILES, False)
    assert model.digest in done.stderr


def test_nothing_in_the_command_is_taken_for_a_placeholder_by_kubernetes_or_kserve(in_pod):
    command = server_command(in_pod[0])
    assert not [word for word in command for mark in ("$(", "{{", "}}") if mark in word]
