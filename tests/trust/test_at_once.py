"""Two at once, and files that a crash left torn: real processes, of which each gets what it needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from helpers.local import stack
from helpers.registry import connect
from helpers.runtime import keys, processes
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


WRITE = """
import sys
from helpers.registry import connect

who, version = sys.argv[1], sys.argv[2]
registry = connect("local")
print("ready", flush=True)
sys.stdin.readline()
for number in range(6):
    summary = {"purpose": "use-case", "use_case": who, "measurements": "chat, knowledge"}
    figures = {"chat": {"kind": "load_test", "ttft_p95_ms": float(number)}, "knowledge": {"n": number}}
    registry.attach_record(version, f"{who}-{number}", f"file:///{who}/{number}", summary, figures)
    registry.set_approval(version, "rejected", [f"{who} {number}"], by=who)
    print(number, flush=True)
"""
WRITERS = ("ada", "ben", "cyd")


def a_version():
    digest = "sha256:" + "0" * 64
    known = {"uri": "file:///shared", "digest": digest, "size_bytes": 1}
    return connect("local").register_candidate("shared", "1", **known).model_version_id


def written(writers, version, between=lambda: None):
    """Let every writer log at the same time, `between` the first record and the last; return what they said."""
    children = [started("-c", WRITE, who, version) for who in writers]
    for child in children:
        assert child.stdout.readline() == "ready\n", child.stderr.read()
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    assert children[0].stdout.readline() == "0\n"
    between()
    for child in children:
        _, error = child.communicate(timeout=300)
        assert child.returncode == 0, error


def require_whole(writers, version):
    """Each record once, the newest figures of each use case on the version, and one unbroken chain of decisions."""
    registry = connect("local")
    known = [record.record_id for record in registry.records("shared")]
    assert sorted(known) == sorted(f"{who}-{number}" for who in writers for number in range(6))
    found = registry.find("shared", "1")
    for who in writers:
        assert found.properties[f"usecase.{who}.chat.ttft_p95_ms"] == 5.0
        assert found.properties[f"usecase.{who}.chat.record"] == f"{who}-5"
    decided = registry.decisions(version)
    assert sorted(each.reasons for each in decided) == sorted(
        f"{who} {number}" for who in writers for number in range(6)
    )
    assert [each.serial for each in decided] == list(range(1, 6 * len(writers) + 1))
    assert registry.history(version).doubt == ""
    assert found.properties["approval_reasons"] == decided[-1].reasons


def test_pipelines_that_log_to_one_version_at_once_lose_nothing(home):
    stack.up()
    keys.make_own_keys()
    version = a_version()
    written(WRITERS, version)
    require_whole(WRITERS, version)


def test_down_and_up_during_a_run_costs_it_a_pause_and_nothing_else(home):
    address = stack.up()
    keys.make_own_keys()
    version = a_version()

    def away():
        assert "is down" in stack.down()
        assert stack.up(int(address.rpartition(":")[2])) == address

    written(WRITERS[:1], version, away)
    require_whole(WRITERS[:1], version)
