"""How a node's process ends: its exit code, its last line, and what its run had deployed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import psutil
import pytest

from helpers import serving
from helpers.errors import ClusterUnreachable, GateFailed, StoreUnreachable
from helpers.pipelines import pod
from helpers.runtime.workspace import ROOT

RUN = "5b0f9a1e-9f5c-4a53-8a1c-0d6f3a7f2a10"


@pytest.fixture
def log(tmp_path, monkeypatch):
    """The container's termination log."""
    monkeypatch.setenv("ASSAY_TERMINATION_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("ELYRA_RUN_NAME", RUN)
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path / "log"
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def freed(monkeypatch):
    """The runs whose deployments were removed."""
    runs = []

    def remove_run(run):
        runs.append(run)
        return [f"evaluation/assay-{len(runs)} is removed"]

    monkeypatch.setattr(serving, "remove_run", remove_run, raising=False)
    return runs


def failing(error):
    def operation():
        raise error

    return operation


def test_a_node_that_ends_well_removes_nothing_and_says_nothing(log, freed):
    assert pod.main(lambda: None) == 0
    assert not freed
    assert not log.exists()


def test_a_failed_node_frees_what_its_run_deployed_and_says_why(log, freed, capsys):
    assert pod.main(failing(StoreUnreachable("The store is away", do="Start it"))) == 1
    assert freed == [RUN]
    assert log.read_text() == "StoreUnreachable: The store is away. Start it. No server of this run stands."
    assert "evaluation/assay-1 is removed" in capsys.readouterr().out


def test_a_decision_has_an_exit_code_of_its_own(log, freed):
    assert pod.main(failing(GateFailed("Worse", do="Keep the baseline"))) == pod.REFUSED == 3
    assert freed == [RUN]


def test_a_removal_that_fails_is_told_with_the_command_and_hides_nothing(log, monkeypatch):
    def remove_run(run):
        raise ClusterUnreachable("The API does not answer", do="Wait")

    monkeypatch.setattr(serving, "remove_run", remove_run, raising=False)
    assert pod.main(failing(StoreUnreachable("The store is away", do="Start it"))) == 1
    said = log.read_text()
    assert said.startswith("StoreUnreachable: The store is away. Start it.")
    assert "may still stand (ClusterUnreachable: The API does not answer" in said
    assert f"oc delete inferenceservice -l assay/run={RUN}" in said


def test_a_termination_log_that_cannot_be_written_hides_nothing(log, freed, monkeypatch, capsys):
    monkeypatch.setenv("ASSAY_TERMINATION_LOG", "/nowhere/log")
    assert pod.main(failing(GateFailed("Worse", do="Keep the baseline"))) == pod.REFUSED
    assert "GateFailed: Worse. Keep the baseline." in capsys.readouterr().out


def test_wrong_arguments_keep_their_exit_code(log, freed):
    assert pod.main(failing(SystemExit(2))) == 2


STOPPED = """
import subprocess, sys, time
from helpers import serving
from helpers.pipelines import pod

def operation():
    kernel = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    print(kernel.pid, flush=True)
    kernel.wait()
    print("notebook stored", flush=True)
    raise RuntimeError("Kernel died")

serving.remove_run = lambda run: [f"what {run} deployed is removed"]
sys.exit(pod.main(operation))
"""


def test_a_pod_that_is_told_to_stop_ends_its_kernel_and_frees_what_its_run_deployed(log):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(STOPPED)], cwd=ROOT, env=dict(os.environ), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    kernel = int(process.stdout.readline())
    process.terminate()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM
    assert not psutil.pid_exists(kernel)
    assert f"what {RUN} deployed is removed" in output
    assert "notebook stored" in output
    said = log.read_text()
    assert said.startswith("Terminated: ")
    assert said.endswith("No server of this run stands.")
