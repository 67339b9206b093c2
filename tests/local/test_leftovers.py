"""However a run on this machine ends, none of its servers stays; the stages are real, the server is a light one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from helpers.errors import StageFailed
from helpers.local import pipelines, stack
from helpers.runtime import processes
from helpers.runtime.polling import wait_for
from helpers.runtime.workspace import ROOT

pytestmark = [pytest.mark.load, pytest.mark.timeout(900)]


@pytest.fixture
def given(tiny_model):
    yield {"SOURCE": str(tiny_model), "MODEL_NAME": "tiny", "REGISTRY": stack.up()}
    stack.down()
    for running in processes.all_running():
        processes.end(running)


def servers():
    return [running for running in processes.all_running() if running.expires]


def test_a_failure_after_deploy_model_leaves_no_server(given, light_vllm, tmp_path, capsys):
    with pytest.raises(StageFailed, match="failed in guidellm_sweep"):
        pipelines.run("model-ops", tmp_path / "run", given | {"MAX_MODEL_LEN": "16"})
    assert servers() == []
    assert "is removed" in capsys.readouterr().out
    assert (tmp_path / "run" / "notebooks" / "artifacts" / "endpoint.json").is_file()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_stopped_while_it_waits_leaves_no_server(given, light_vllm, tmp_path, sent):
    light_vllm.write_text('#!/bin/sh\n[ "$1" = -c ] && exit 1\nexec sleep 600\n')  # never ready
    words = [f"{name}={value}" for name, value in given.items()]
    command = [sys.executable, "-m", "helpers.local.run_pipeline", "model-ops", *words, "--runs", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    wait_for(lambda: servers() or run.poll() is not None, what="the server", do="", timeout=300, interval=0.1)
    [server] = servers()
    assert server.run.startswith("model-ops-")
    run.send_signal(sent)
    assert run.wait(120) == 130
    assert servers() == []
    assert not processes.alive(server)
