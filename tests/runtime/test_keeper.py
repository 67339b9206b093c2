"""What strangers' code starts ends with the stage that started it, and holds no more memory than it may."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from helpers.runtime import sandbox
from helpers.runtime.keeper import OVER
from helpers.runtime.workspace import ROOT

WALLS = pytest.mark.parametrize("wall", ["namespaces", "Landlock", "none"])
STARTING = "import os, subprocess, sys; subprocess.Popen([sys.executable, '-c', {code!r}], start_new_session=True)\n"
SLEEPING = "import time; time.sleep(600)"
GROWING = "import time\nheld = []\nwhile True:\n    held.append(bytes(range(256)) * 2**16)\n    time.sleep(0.01)"
STAGE = """
import subprocess, sys
from pathlib import Path
from helpers.runtime import sandbox
sandbox.available = lambda: sys.argv[2] == "namespaces"
sandbox.can_fence = lambda: sys.argv[2] != "none"
subprocess.run(sandbox.walled([sys.executable, "-c", sys.argv[3]], Path(sys.argv[1])))
"""


def named(mark: str) -> list[psutil.Process]:
    """The processes that have the mark as an argument, those apart that only wait for them."""
    return [each for each in psutil.process_iter(["cmdline"]) if mark in (each.info["cmdline"] or [])[-1:]]


def wait_until(what) -> None:
    until = time.monotonic() + 60
    while not what():
        assert time.monotonic() < until
        time.sleep(0.05)


@WALLS
def test_nothing_outlives_a_stage_that_is_killed(wall, tmp_path):
    mark = f"{SLEEPING} # {tmp_path}"
    code = STARTING.format(code=mark) + mark
    stage = subprocess.Popen([sys.executable, "-c", STAGE, str(tmp_path), wall, code], cwd=ROOT)
    try:
        wait_until(lambda: named(mark))
        kept = psutil.Process(stage.pid).children(recursive=True)
        assert len(kept) >= 3
    finally:
        stage.kill()
        stage.wait()
    wait_until(lambda: not any(each.is_running() for each in kept))
    assert not named(mark)


@WALLS
def test_processes_that_hold_too_much_together_are_ended_whoever_started_them(wall, tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "available", lambda: wall == "namespaces")
    monkeypatch.setattr(sandbox, "can_fence", lambda: wall != "none")
    mark = f"{GROWING} # {tmp_path}"
    command = sandbox.walled([sys.executable, "-c", STARTING.format(code=mark) + SLEEPING], tmp_path, most=0.5)
    assert subprocess.run(command, check=False).returncode == OVER
    assert not named(mark)


def test_what_processes_share_counts_once(tmp_path):
    code = (
        "import os, time\nheld = bytes(range(256)) * 2**20\nfor _ in range(3):\n    if not os.fork():\n"
        "        time.sleep(1)\n        os._exit(0)\nfor _ in range(3):\n    os.wait()"
    )
    command = sandbox.walled([sys.executable, "-c", code], Path(tmp_path), most=0.5)
    assert subprocess.run(command, check=False).returncode == 0


@pytest.mark.parametrize(("code", "ended"), [("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)])
def test_the_command_s_own_end_is_told(code, ended, tmp_path):
    assert subprocess.run(sandbox.walled([sys.executable, "-c", code], tmp_path), check=False).returncode == ended


def test_whoever_is_asked_to_stop_leaves_nothing(tmp_path):
    mark = f"{SLEEPING} # {tmp_path}"
    kept = subprocess.Popen(sandbox.walled([sys.executable, "-c", STARTING.format(code=mark) + SLEEPING], tmp_path))
    wait_until(lambda: named(mark))
    os.kill(kept.pid, signal.SIGTERM)
    kept.wait(timeout=60)
    assert not named(mark)
