"""Two at once, and files that a crash left torn: real processes, of which each gets what it needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from helpers.local import stack
from helpers.registry import connect
from helpers.runtime import processes
from helpers.runtime.workspace import ROOT

PLACE = """
import sys
from datetime import datetime
from pathlib import Path
from helpers.runtime import runs

class Stopped(datetime):
    @classmethod
    def now(cls, *_):
        return cls(2026, 1, 2, 3, 4, 5)

runs.datetime = Stopped
sys.stdin.readline()  # all at once
print(runs.place(Path(sys.argv[1]), "model-ops", {"NAME": sys.argv[2]}).name)
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    for name in ("REGISTRY_ADDRESS_LOCAL", "REGISTRY_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path / "home"
    stack.down()
    assert processes.all_running() == []


def started(*command):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, *command], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, **pipes)


def test_runs_that_begin_in_one_second_have_a_folder_each(tmp_path):
    children = [started("-c", PLACE, str(tmp_path / "runs"), str(number)) for number in range(4)]
    said = []
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    for child in children:
        out, error = child.communicate(timeout=120)
        assert child.returncode == 0, error
        said.append(out.strip())
    assert sorted(said) == ["20260102-030405-model-ops", *(f"20260102-030405-model-ops-{n}" for n in (2, 3, 4))]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == sorted(said)


def test_of_several_up_at_once_one_registry_comes(home):
    children = [started("-m", "helpers.local.stack", "up") for _ in range(3)]
    said = {child.communicate(timeout=300) for child in children}
    assert len(said) == 1, said
    assert {child.returncode for child in children} == {0}
    assert connect("local").versions() == []
    assert [running.handle for running in processes.all_running()] == ["registry"]


@pytest.mark.parametrize("content", ["", "{", '{"handle": "registry"}', "[]", "\x00" * 40])
def test_a_torn_process_file_is_forgotten(content, home):
    (home / "processes").mkdir(parents=True)
    (home / "processes" / "registry.json").write_text(content)
    assert processes.all_running() == []
    assert not (home / "processes" / "registry.json").exists()
    assert stack.status()[0].startswith("registry: down")
    assert "not running" in stack.down()


def test_up_writes_down_again_where_the_registry_is(home):
    address = stack.up()
    (home / "registry.json").write_text("")
    assert stack.up() == address
    assert json.loads((home / "registry.json").read_text()) == {"address": address}
    assert connect("local").versions() == []
