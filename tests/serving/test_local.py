"""Real vLLM on the CPU: it comes up, it is found again, it goes away, and when it cannot start it says why."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest
from tokenizers import Tokenizer

from helpers import serving, storage
from helpers.errors import DeploymentFailed, DigestMismatch, EndpointUnreachable, InvalidParameter
from helpers.runtime import processes
from helpers.runtime.polling import wait_for
from helpers.serving import local
from helpers.serving.offers import Offers, offers
from helpers.serving.tokenizing import ServedTokenizer
from tests.plugins.models import select, serve_settings

HERMES = "1979c006191a4be9596ba32d9290f364e01e8229a7f5c9ccc9144345c732ac35"


@pytest.fixture(autouse=True)
def nothing_is_left(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    yield
    for running in processes.all_running():
        processes.end(running)


def members(pid):
    return [item for item in psutil.process_iter() if os.getpgid(item.pid) == pid and item.status() != "zombie"]


@pytest.mark.stack
def test_a_deployment_outlives_its_maker_is_found_again_and_is_removed(tiny_model, capsys):
    selection = select(tiny_model)
    endpoint = serving.deploy(selection, serve_settings())
    assert endpoint.digest == selection.digest
    assert endpoint.digest_verified
    assert endpoint.startup_seconds > 0
    assert endpoint.engine_version == local.engine_version() == "0.32.0"
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4, "ignore_eos": True}
    answer = httpx.post(f"{endpoint.url}/v1/chat/completions", json=body, timeout=120).json()
    assert answer["usage"]["completion_tokens"] == 4

    again = serving.deploy(selection, serve_settings())
    assert (again.url, again.started) == (endpoint.url, endpoint.started)

    known = serve_settings(target="existing", endpoint_url=f"{endpoint.url}/v1", endpoint_model="tiny")
    connected = serving.deploy(selection, known)
    assert (connected.url, connected.max_model_len) == (endpoint.url, 2048)
    assert not connected.digest_verified
    assert offers(connected) == Offers(chat="", completions="", logprobs="")
    assert "stays" in serving.remove(connected)
    unknown = serving.deploy(selection.model_copy(update={"digest": "", "uri": endpoint.url}), known)
    assert (unknown.tokenizer, unknown.digest) == ("", "")
    served, own = ServedTokenizer(endpoint.url, "tiny"), Tokenizer.from_file(str(tiny_model / "tokenizer.json"))
    for text in ("The pod waits for a node.", " two\nlines", ""):
        assert served(text).input_ids == own.encode(text, add_special_tokens=False).ids
    with pytest.raises(EndpointUnreachable, match="tiny"):
        serving.deploy(selection, known.model_copy(update={"endpoint_model": "large"}))

    assert serving.remove_expired() == []
    [running] = processes.all_running()
    assert members(running.pid)
    assert "is removed" in serving.remove(endpoint)
    assert not members(running.pid)
    assert "is not running" in serving.remove(endpoint)
    with pytest.raises(EndpointUnreachable):
        serving.deploy(selection, known)


@pytest.mark.parametrize("manners", ["", "trap '' TERM; "], ids=["ends politely", "has to be killed"])
def test_after_its_lifetime_it_is_gone_even_when_nobody_asks(manners, tiny_model, monkeypatch, tmp_path):
    slow = tmp_path / "python"  # never up within its lifetime, however fast the machine
    slow.write_text(f"#!/bin/sh\n{manners}exec sleep 600\n")
    slow.chmod(0o755)
    monkeypatch.setenv("ASSAY_VLLM_PYTHON", str(slow))
    with pytest.raises(DeploymentFailed, match=r"lifetime was over.*Raise LIFETIME_SECONDS"):
        serving.deploy(select(tiny_model), serve_settings(lifetime_seconds=10))
    assert processes.all_running() == []


@pytest.mark.stack
def test_an_unknown_architecture_is_named_as_the_reason(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "odd")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["OddForCausalLM"], "model_type": "odd"}))
    with pytest.raises(DeploymentFailed, match="does not know the model's architecture") as caught:
        serving.deploy(select(folder), serve_settings())
    assert "Last lines of its log" in caught.value.__notes__[0]


@pytest.mark.stack
def test_a_taken_port_is_named_as_the_reason(tiny_model):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(DeploymentFailed, match="its port is taken"):
        serving.deploy(select(tiny_model), serve_settings(port=taken.getsockname()[1]))


@pytest.mark.stack
def test_more_memory_than_there_is_is_named_as_the_reason(tiny_model):
    with pytest.raises(DeploymentFailed, match="memory is short"):
        serving.deploy(select(tiny_model), serve_settings(kv_cache_gib=1024))


@pytest.mark.stack
def test_ctrl_c_leaves_nothing_running(tiny_model, tmp_path):
    code = (
        "import sys; from pathlib import Path; from helpers import serving\n"
        "from tests.plugins.models import select, serve_settings\n"
        "serving.deploy(select(Path(sys.argv[1])), serve_settings())"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    maker = subprocess.Popen([sys.executable, "-c", code, tiny_model], env=environment, stderr=subprocess.PIPE)
    [running] = wait_for(processes.all_running, what="the start of vLLM", do="", timeout=60, interval=0.05)
    time.sleep(1)  # into the wait, where a user would press it
    maker.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in maker.communicate(timeout=60)[1]
    assert not members(running.pid)
    assert processes.all_running() == []


def test_one_changed_byte_of_the_weights_is_not_served(tiny_model):
    selection = select(tiny_model)
    weights = storage.local_path(selection.uri) / "model.safetensors"
    weights.chmod(0o644)
    with weights.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x01")
    with pytest.raises(DigestMismatch, match=r"tiny 1 .*model\.safetensors.*Do not serve it"):
        serving.deploy(selection, serve_settings())
    assert processes.all_running() == []


def test_a_missing_environment_says_how_to_make_it(tiny_model, monkeypatch):
    monkeypatch.setenv("ASSAY_VLLM_PYTHON", "/nowhere/python")
    with pytest.raises(DeploymentFailed, match=r"no vLLM environment at /nowhere/python.*Run make setup"):
        serving.deploy(select(tiny_model), serve_settings())


def test_no_secret_reaches_the_command_line_or_a_server_that_does_not_need_it(tiny_model, monkeypatch, tmp_path):
    monkeypatch.setenv("ENDPOINT_API_KEY", "hidden-key")
    secrets = ("STORE_AWS_SECRET_ACCESS_KEY", "SOURCE_AWS_SECRET_ACCESS_KEY", "SIGNING_KEY", "HF_TOKEN")
    settings = serving.Settings()
    command = local.build_command(select(tiny_model), settings, tiny_model, 8000, tmp_path / "python")
    for name in secrets:
        monkeypatch.setenv(name, f"hidden-{name}")
    environment = local._environment(settings)
    assert "hidden-key" not in " ".join(command)
    assert not [name for name in secrets if name in environment]
    assert environment["VLLM_API_KEY"] == "hidden-key"


def test_a_chat_template_is_one_of_ours_and_on_this_machine_only(tiny_model, tmp_path):
    tools = "--enable-auto-tool-choice --tool-call-parser hermes --chat-template"
    settings = serving.Settings(target="local", engine_args=f"{tools} hermes")
    command = local.build_command(select(tiny_model), settings, tiny_model, 8000, tmp_path / "python")
    path = Path(command[command.index("--chat-template") + 1])
    assert path.is_file()
    # The engine's arguments name it, and by these an earlier result is known: another text needs another name.
    assert settings.arguments[-1] == "hermes"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == HERMES
    for foreign in ("/etc/passwd", "../hermes", "{{1}}", "hermes.jinja", "other"):
        with pytest.raises(InvalidParameter, match=r"chat-template|engine_args"):
            serving.Settings(target="local", engine_args=f"{tools} {foreign}")
    with pytest.raises(InvalidParameter, match="no pod has"):
        serving.Settings(target="kserve", engine_args=f"{tools}=hermes")


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"target": "cloud"}, "TARGET"),
        ({"max_model_len": 0}, "MAX_MODEL_LEN"),
        ({"engine_args": "--x $(id)"}, "engine_args"),
        ({"engine_args": "--api-key abc"}, "ENGINE_ARGS"),
        ({"target": "existing"}, "ENDPOINT_URL"),
        ({"endpoint_url": "http://user:pw@host"}, "ENDPOINT_URL"),
        ({"lifetime_seconds": 1}, "LIFETIME_SECONDS"),
    ],
)
def test_bad_parameters_are_refused_by_name(changes, name):
    with pytest.raises(InvalidParameter, match=name):
        serving.Settings(**changes)
