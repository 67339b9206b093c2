"""GuideLLM waits for ever where it loses a message or a worker; here it does, on purpose."""

from __future__ import annotations

import sys

import pytest

from helpers.artifacts import LoadTest
from helpers.load_test import process, sweep
from tests.plugins.records import CHAT

from .conftest import brief

LOSES_ONE_MESSAGE = """
from guidellm.scheduler.worker import WorkerProcess

send, lost = WorkerProcess._send_update, []

def lossy(self, status, *rest):
    if status in ("cancelled", "completed") and not lost:
        lost.append(status)
    else:
        send(self, status, *rest)

WorkerProcess._send_update = lossy
"""
ONE_WORKER_NEVER_STARTS = """
import asyncio, os
from guidellm.scheduler.worker import WorkerProcess

start = WorkerProcess._processing_startup

async def sleepy(self):
    try:
        os.mkdir(os.environ["ONCE"])
    except FileExistsError:
        return await start(self)
    await asyncio.sleep(600)

WorkerProcess._processing_startup = sleepy
"""

HERE = """
import sys

if "multiprocessing.forkserver" in " ".join(sys.orig_argv):  # in the workers only
    import broken
"""


@pytest.fixture
def broken(monkeypatch, tmp_path):
    """Break GuideLLM in the workers that the sweep starts."""

    def break_it(code):
        (tmp_path / "broken.py").write_text(code)
        (tmp_path / "sitecustomize.py").write_text(HERE)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setenv("ONCE", str(tmp_path / "once"))
        monkeypatch.setenv("ASSAY_END_SECONDS", "2")
        monkeypatch.setenv("ASSAY_START_SECONDS", "25")

    return break_it


@pytest.mark.load
@pytest.mark.parametrize(
    ("code", "said"),
    [
        (LOSES_ONE_MESSAGE, "whose end it never heard of, the strategy ends without them"),
        (ONE_WORKER_NEVER_STARTS, "workers did not start within 25 s, they are started again"),
    ],
    ids=["a lost message", "a worker that never starts"],
)
def test_a_sweep_ends_although_guidellm_hangs(code, said, broken, mock_server, endpoint, tmp_path):
    broken(code)
    told = []
    result = sweep(brief(warmup=0), endpoint(mock_server.url), tmp_path / "out", told.append)
    assert isinstance(result, LoadTest)
    assert len(result.points) == 3
    assert all(point.successful for point in result.points)
    assert any(said in line for line in told), told
    assert "Thread 0x" in (tmp_path / "out" / CHAT.log).read_text()


def test_a_process_in_which_no_strategy_ends_is_ended_with_its_stacks(tmp_path):
    code = "import faulthandler, signal, time; faulthandler.register(signal.SIGUSR1); print('on'); time.sleep(600)"
    told = []
    assert process.run([sys.executable, "-uc", code], {}, tmp_path / "log", 3, told.append, 2.0) is None
    assert "most recent call first" in (tmp_path / "log").read_text()


def test_a_process_that_goes_on_is_left_alone_however_long_it_takes(tmp_path):
    code = "import time\nfor n in range(6): print(f'Benchmark {n} (synchronous): completed | x'); time.sleep(0.5)"
    assert process.run([sys.executable, "-uc", code], {}, tmp_path / "log", 6, lambda _: None, 1.5) == 0


@pytest.mark.load
def test_a_hang_that_nothing_else_ended_costs_one_more_attempt(monkeypatch, mock_server, endpoint, tmp_path):
    run, told = process.run, []

    def hangs_once(command, environment, log, *rest):
        if log.with_name(CHAT.hung).is_file():
            return run(command, environment, log, *rest)
        log.write_text("stacks")
        return None

    monkeypatch.setattr(process, "run", hangs_once)
    result = sweep(brief(warmup=0), endpoint(mock_server.url), tmp_path / "out", told.append)
    assert len(result.points) == 3
    assert any(line.startswith("GuideLLM hung on a server that answers") for line in told)
    assert (tmp_path / "out" / CHAT.hung).read_text() == "stacks"


def test_a_process_that_ended_is_not_waited_for_because_a_child_holds_its_output(tmp_path):
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    assert process.run([sys.executable, "-uc", code], {}, tmp_path / "log", 3, lambda _: None, 60) == 0
