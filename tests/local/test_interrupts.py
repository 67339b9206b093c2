"""Ctrl-C and SIGTERM end a run, whichever stage works: nothing follows, nothing stays, and a second start goes on."""

from __future__ import annotations

import json
import os
import signal

import pytest

from helpers.runtime import runs
from helpers.runtime.polling import wait_for

pytestmark = pytest.mark.timeout(300)

CHILD = "import subprocess, sys\nchild = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
WORKING = f"""{CHILD}
Path("working").touch()
try:
    child.wait()
finally:
    child.kill()
    child.wait()
    Path("tidied").touch()
"""
DEAF = f"""{CHILD}
import signal, threading
signal.signal(signal.SIGINT, signal.SIG_IGN)
Path("working").touch()
threading.Event().wait()
"""


def begun(workspace, run):
    """Wait until the slow stage works, and return the run's folder."""
    working = "runs/2*/notebooks/working"
    wait_for(
        lambda: list(workspace.root.glob(working)) or run.poll() is not None, what="the stage", do="", timeout=200,
        interval=0.05,
    )  # fmt: skip
    assert run.poll() is None, run.communicate()
    return workspace.runs[-1]


def gone(workspace):
    wait_for(lambda: not workspace.processes(), what="the end of all processes", do="", timeout=60, interval=0.1)


@pytest.mark.load
@pytest.mark.parametrize(("sent", "cell"), [(signal.SIGINT, WORKING), (signal.SIGTERM, DEAF)], ids=["tidy", "deaf"])
def test_no_stage_follows_the_interrupted_one_and_nothing_stays(workspace, sent, cell):
    workspace.stage("lm_eval_task", cell)
    run = workspace.start()
    folder = begun(workspace, run)
    os.killpg(run.pid, sent)
    os.killpg(run.pid, sent)  # people press twice
    printed, errors = run.communicate(timeout=120)
    assert run.returncode == 130, printed + errors
    assert len(errors.strip().splitlines()) == 1, errors
    assert str(folder.relative_to(workspace.root)) in errors
    assert not workspace.processes()
    assert workspace.ran(folder, "guidellm_sweep")
    assert not workspace.ran(folder, "log_results")
    assert (folder / "notebooks" / "tidied").exists() == (cell == WORKING)
    found = runs.read(folder)
    assert (found.standing, found.stage) == ("interrupted", "lm_eval_task")


@pytest.mark.load
def test_a_run_whose_command_is_killed_ends_too(workspace):
    workspace.stage("lm_eval_task", WORKING)
    run = workspace.start()
    folder = begun(workspace, run)
    run.kill()
    run.communicate()
    gone(workspace)
    assert not workspace.ran(folder, "log_results")
    assert runs.read(folder).standing == "interrupted"


@pytest.mark.load
def test_the_same_command_goes_on_under_the_same_run_and_then_begins_anew(workspace):
    workspace.stage("lm_eval_task", WORKING)
    run = workspace.start()
    folder = begun(workspace, run)
    partial = folder / "notebooks" / "artifacts" / "partial" / "answers.jsonl"
    partial.parent.mkdir(parents=True)
    partial.write_text('{"same": "x"}\n[1]\n[2]\n')
    run.send_signal(signal.SIGINT)
    assert "2 answers" in run.communicate(timeout=120)[1]
    workspace.stage("lm_eval_task")
    for _ in range(2):
        again = workspace.start()
        told = again.communicate(timeout=200)
        assert again.returncode == 0, told
    first, second = workspace.runs
    assert first == folder
    assert partial.exists()
    assert len(set(workspace.ran(folder, "lm_eval_task"))) == 1
    assert len(workspace.ran(folder, "lm_eval_task")) == 2
    assert len(workspace.ran(folder, "log_results")) == 1
    assert set(workspace.ran(second, "log_results")).isdisjoint(workspace.ran(folder, "log_results"))
    assert (workspace.root / "runs" / runs.LATEST).resolve() == second
    assert runs.read(folder).standing == "done"


def test_what_is_gone_on_with_is_the_newest_run_of_the_same_values(tmp_path):
    def made(name, given, error=None):
        try:
            with runs.begun(tmp_path / name, "model-ops", given):
                if error:
                    raise error
        except (KeyboardInterrupt, ValueError):
            pass
        return tmp_path / name

    small, large = {"MODEL_NAME": "small"}, {"MODEL_NAME": "large"}
    cut = made("1", small, KeyboardInterrupt())
    assert runs.place(tmp_path, "model-ops", small) == cut
    assert runs.place(tmp_path, "model-ops", large) != cut
    assert runs.place(tmp_path, "ai-engineer", small) != cut
    failed = made("2", large, ValueError())
    assert runs.place(tmp_path, "model-ops", large) == failed
    made("3", small)
    assert not list(runs.place(tmp_path, "model-ops", small).iterdir())


def test_a_run_that_works_is_not_joined(tmp_path):
    with runs.begun(tmp_path / "1", "model-ops", {}):
        assert not list(runs.place(tmp_path, "model-ops", {}).iterdir())
    assert json.loads((tmp_path / "1" / runs.FILE).read_text())["state"] == "done"


@pytest.mark.load
def test_jupyterlab_ends_with_the_run_that_it_works_on(tmp_path):
    import threading

    import httpx

    from helpers.local.elyra.schema import NAME
    from helpers.pipelines import Pipeline
    from tests.plugins import lab
    from tests.plugins.workspaces import Workspace

    with lab.running(tmp_path / "lab") as started:
        cheap = Workspace(tmp_path / "cheap")
        cheap.stage("lm_eval_task", WORKING)
        for notebook in (cheap.root / "notebooks").glob("*.ipynb"):
            notebook.rename(started.root / "notebooks" / notebook.name)
        content = Pipeline("model-ops").wanted({}).for_elyra({"SOURCE": "sample://x"}, NAME)
        primary = content["pipelines"][0]
        primary["app_data"]["runtime"] = NAME
        primary["nodes"] = primary["nodes"][3:5]  # lm_eval_task and log_results
        del primary["nodes"][0]["inputs"][0]["links"]

        def schedule():
            with pytest.raises(httpx.HTTPError):  # the server ends before it answers
                httpx.post(f"{started.url}elyra/pipeline/schedule?token=t", json=content, timeout=200)

        asking = threading.Thread(target=schedule)
        asking.start()
        notebooks = "runs/2*/notebooks/"
        wait_for(
            lambda: list(started.root.glob(f"{notebooks}working")) or not asking.is_alive(), what="the stage",
            do="Read lab.log", timeout=200, interval=0.1,
        )  # fmt: skip
        assert list(started.root.glob(f"{notebooks}working")), (tmp_path / "lab" / "lab.log").read_text()[-3000:]
    asking.join()  # and the block above has seen that no process of it is left
    assert list(started.root.glob(f"{notebooks}tidied"))
    assert not list(started.root.glob(f"{notebooks}log_results.ran"))
