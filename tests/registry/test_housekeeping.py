"""What is there can be listed, shown, exported and deleted with one command; a wrong record can be withdrawn."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from helpers.analysis import loading
from helpers.artifacts import now
from helpers.datasets.criteria import load_criteria
from helpers.errors import NotFound
from helpers.local import stack
from helpers.records.reuse.archive import Archive
from helpers.records.standing import find_standing
from helpers.registry import Constraints, housekeeping
from helpers.runtime import processes, runs
from tests.plugins.models import CRITERIA
from tests.plugins.records import START
from tests.plugins.stored import measured


def test_a_withdrawn_record_is_read_by_nobody_and_shown_with_its_reason(registry, run, tmp_path):
    first = measured(registry, tmp_path, when=START)
    wrong = measured(registry, tmp_path, when=START + timedelta(hours=1), score=0.9)
    before = registry.find("alpha", "1.0").properties
    assert run("withdraw", wrong.record_id, "--by", "Ada")[0] == 1, "without a reason"
    assert [record.record_id for record in registry.records()] == [first.record_id, wrong.record_id]

    code, told = run("withdraw", wrong.record_id, "--by", "Ada", "--reason", "measured beside another job")
    assert code == 0, told.err
    assert run("withdraw", wrong.record_id, "--by", "Bob", "--reason", "again")[0] == 0, "twice is once"
    assert [record.record_id for record in registry.records("alpha", "1.0")] == [first.record_id]
    after = registry.find("alpha", "1.0").properties
    assert before["usecase.ops-assistant.knowledge.record"] == wrong.record_id
    assert after["usecase.ops-assistant.knowledge.record"] == first.record_id
    assert after["usecase.ops-assistant.knowledge.acc"] == first.evaluation.score
    comparison = loading.compare_all(registry, loading.Filter(), load_criteria(CRITERIA))
    assert [row.record_id for row in comparison.standings] == [first.record_id]
    assert find_standing(wrong, registry) != wrong
    assert wrong.record_id not in {record.record_id for record in Archive(registry.address).records()}
    shown = run("show", wrong.record_id)[1].out
    assert "Ada: measured beside another job" in shown
    assert wrong.record_id in run("list", "records")[1].out

    run("withdraw", first.record_id, "--by", "Ada", "--reason", "so was this")
    left = registry.find("alpha", "1.0").properties
    assert not [name for name in left if name.startswith("use_case_")]
    with pytest.raises(NotFound):
        loading.compare_all(registry, loading.Filter(), load_criteria(CRITERIA))


def test_a_withdrawn_baseline_is_held_against_nobody_and_shortlists_nothing(registry, run, tmp_path):
    from helpers.analysis.gate.baseline import find_baseline

    old = measured(registry, tmp_path, when=START)
    candidate = measured(registry, tmp_path, when=START + timedelta(hours=1), score=0.7)
    assert find_baseline(registry, candidate).record_id == old.record_id
    run("withdraw", old.record_id, "--by", "Ada", "--reason", "the wrong questions")
    with pytest.raises(NotFound):
        find_baseline(registry, candidate, "alpha", "1.0")

    baseline = measured(registry, tmp_path, "beta", purpose="baseline")
    version = registry.find("beta", "1.0")
    registry.set_approval(version.model_version_id, "approved", ["good"])
    limits = Constraints(min_baseline_accuracy=0.01)
    assert [row.name for row in registry.shortlist(limits) if not row.excluded] == ["beta"]
    told = run("withdraw", baseline.record_id, "--by", "Ada", "--reason", "the wrong questions")[1].out
    assert "stays approved" in told
    assert not [row for row in registry.shortlist(limits) if not row.excluded]


def test_what_a_version_leaves_is_shown_before_it_goes(registry, run, tmp_path):
    record = measured(registry, tmp_path, files="shared")
    other = measured(registry, tmp_path, "beta", files="shared", when=START + timedelta(hours=1))
    model, kept = tmp_path / "models" / "shared", tmp_path / "records" / record.record_id
    code, told = run("delete", "alpha", "1.0")
    assert code == 0
    assert record.record_id in told.out
    assert model.as_uri() in told.out
    assert kept.is_dir()
    assert not registry.find("alpha", "1.0").archived

    assert run("delete", "alpha", "1.0", "--yes")[0] == 0
    assert registry.find("alpha", "1.0").archived
    assert registry.find("alpha", "1.0").properties["digest"] == record.selection.digest, "its properties stay"
    assert not kept.exists()
    assert (model / "model.safetensors").is_file(), "another version has the same files"
    assert (tmp_path / "records" / other.record_id).is_dir()
    assert run("delete", "beta", "--yes")[0] == 0, "a model with all of its versions"
    assert not model.exists()

    assert run("restore", "alpha", "1.0")[0] == 0
    assert not registry.find("alpha", "1.0").archived


def test_a_record_is_no_thing_to_delete_and_what_nobody_knows_is_said(registry, run, tmp_path):
    record = measured(registry, tmp_path)
    code, told = run("delete", record.record_id, "--yes")
    assert code == 1
    assert f"withdraw {record.record_id}" in told.err
    assert Path(tmp_path, "records", record.record_id).is_dir()
    for words in (["show", "nothing"], ["show", ".."], ["delete", "runs/x"], ["list", "everything"]):
        assert run(*words)[0] == 1


def test_a_version_is_exported_with_its_files_records_and_decisions(registry, run, tmp_path):
    record = measured(registry, tmp_path)
    to = tmp_path / "out"
    assert run("export", "alpha", "--to", str(to))[0] == 0
    about = json.loads((to / "alpha" / "1.0" / "version.json").read_text())
    assert about["properties"]["digest"] == record.selection.digest
    assert (to / "alpha" / "1.0" / "model" / "model.safetensors").read_bytes() == b"x" * 1000
    assert (to / "alpha" / "1.0" / "records" / record.record_id / "record.json").is_file()
    assert run("export", "alpha", "--to", str(to))[0] == 1, "nothing is written over"
    assert run("export", record.record_id, "--to", str(tmp_path / "one"))[0] == 0
    assert (tmp_path / "one" / record.evaluation.samples).is_file()


def test_runs_and_servers_are_listed_and_end(registry, run, tmp_path):
    with runs.begun(tmp_path / "runs" / "one", "model-ops", {"MODEL_NAME": "alpha"}):
        assert run("delete", "one", "--yes")[0] == 1, "it works"
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    server = processes.Running(
        handle="alpha-1.0-abc", pid=process.pid, created=processes.created(process.pid), url="http://127.0.0.1:1",
        log=tmp_path / "log", started=now(), expires=now() + timedelta(hours=1), label="alpha 1.0",
    )  # fmt: skip
    processes.save(server)
    told = run("list")[1].out
    assert housekeeping.run_line(tmp_path / "runs" / "one", runs.read(tmp_path / "runs" / "one")) in told
    assert "alpha-1.0-abc" in told
    assert any("alpha-1.0-abc" in line and "alpha 1.0" in line for line in stack.status(tmp_path / "runs"))
    run("delete", "alpha-1.0-abc")
    assert processes.alive(server)
    assert run("delete", "alpha-1.0-abc", "--yes")[0] == 0
    assert process.wait(30) is not None
    assert run("delete", "one", "--yes")[0] == 0
    assert not (tmp_path / "runs" / "one").exists()


def test_the_status_needs_no_registry(tmp_path):
    with runs.begun(tmp_path / "one", "model-ops", {}):
        pass
    assert any(line.strip().startswith("one  done") for line in stack.status(tmp_path))
