"""vLLM is killed while a stage talks to it: one error, what was measured stays, and a new server goes on from there."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from papermill.exceptions import PapermillExecutionError

from helpers import serving
from helpers.artifacts import Endpoint, Evaluation
from helpers.runtime import processes
from helpers.runtime.polling import wait_for
from helpers.runtime.workspace import ROOT
from tests.plugins.kernels import execute as execute_notebook
from tests.plugins.models import select, serve_settings
from tests.plugins.records import KNOWLEDGE

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


@pytest.fixture
def workspace(tmp_path, tiny_model, monkeypatch):
    """A folder with a deployed tiny model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "datasets").symlink_to(ROOT / "datasets")
    select(tiny_model).write()
    serving.deploy(select(tiny_model), serve_settings()).write()
    yield tmp_path
    for running in processes.all_running():
        processes.end(running)


def kill_when(kept):
    """Kill the server once `kept()` says that something was kept, from a thread beside the notebook."""

    def watch():
        wait_for(kept, what="something that is kept", do="look", timeout=300, interval=0.05)
        os.killpg(processes.all_running()[0].pid, signal.SIGKILL)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def execute(stage, folder, **parameters):
    notebook = ROOT / "notebooks" / f"{stage}.ipynb"
    execute_notebook(notebook, folder / f"{stage}.ipynb", parameters=parameters, cwd=folder)


def test_a_sweep_keeps_the_strategies_that_were_finished(workspace):
    artifacts = workspace / "artifacts"
    thread = kill_when(lambda: list((artifacts / "partial").rglob("0.json")))
    given = {"workload": "chatbot", "scale": "0.05", "sweep_size": 4, "min_requests": "8", "max_seconds": "60"}
    with pytest.raises(PapermillExecutionError) as caught:
        execute("guidellm_sweep", workspace, **given)
    thread.join(timeout=10)
    assert caught.value.ename in ("SweepFailed", "EndpointUnreachable", "ServerChanged")
    assert not (artifacts / "chat.json").exists()
    assert [path for path in (artifacts / "partial").rglob("0.json") if path.stat().st_size > 1000]


def test_an_evaluation_goes_on_from_the_answers_it_has(workspace, tiny_model):
    artifacts = workspace / "artifacts"
    some = {"limit": 40}  # questions
    journal = artifacts / KNOWLEDGE.journal
    thread = kill_when(lambda: journal.is_file() and "\n[" in journal.read_text(errors="replace"))
    with pytest.raises(PapermillExecutionError) as caught:
        execute("lm_eval_task", workspace, num_concurrent=1, batch_size=1, **some)
    thread.join(timeout=10)
    assert caught.value.ename in ("EndpointUnreachable", "ServerChanged")
    assert Endpoint.read(artifacts).url in caught.value.evalue
    assert not (artifacts / "knowledge.json").exists()
    assert len((artifacts / KNOWLEDGE.journal).read_text().splitlines()) > 1

    serving.deploy(select(tiny_model), serve_settings()).write()
    execute("lm_eval_task", workspace, **some)
    evaluation = Evaluation.read_named("knowledge", artifacts)
    assert (evaluation.failed, evaluation.n, evaluation.total) == (0, 40, 40)
