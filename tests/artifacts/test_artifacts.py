import os
import re
import subprocess
import sys

import pytest

from helpers.artifacts import Selection, run, write_atomic
from helpers.errors import ArtifactMissing, InvalidInput, OtherRun, StoreFailed
from helpers.serving import Removal


def selection(**changes):
    known = {
        "name": "m", "version": "1", "uri": "file:///m", "digest": "sha256:" + "0" * 64, "size_bytes": 1,
        "registry": "http://r", "registered_model_id": "1", "model_version_id": "2", "model_artifact_id": "3",
    }  # fmt: skip
    return Selection(**known | changes)


def test_what_one_stage_writes_the_next_one_reads(tmp_path):
    assert selection().write(tmp_path) == tmp_path / "selection.json"
    found = Selection.read(tmp_path)
    assert found == selection(run=found.run)


def test_a_missing_artifact_names_the_stage_that_writes_it(tmp_path):
    with pytest.raises(ArtifactMissing, match=r"selection\.json is not there\. Run ingest_model or registry"):
        Selection.read(tmp_path)


def test_a_malformed_artifact_names_the_field(tmp_path):
    path = selection().write(tmp_path)
    path.write_text(path.read_text().replace('"size_bytes": 1', '"size_bytes": -1'))
    with pytest.raises(InvalidInput, match="field size_bytes"):
        Selection.read(tmp_path)


def test_a_full_disk_leaves_the_old_file_and_no_half_written_one(tmp_path):
    path = write_atomic(tmp_path / "a.json", b"old")
    # A limit on the file size makes the write fail as a full disk does: in the middle.
    code = (
        "import resource, signal, sys; from pathlib import Path; from helpers.artifacts import write_atomic\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_atomic(Path(sys.argv[1]), b'x' * 5000)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert f"StoreFailed: Could not write {path}: File too large. Free some space" in done.stderr
    assert os.listdir(tmp_path) == ["a.json"]
    assert path.read_bytes() == b"old"


def test_a_folder_that_cannot_be_made_is_a_store_failure(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreFailed, match="Could not write"):
        write_atomic(tmp_path / "file" / "a.json", b"")


def removal(folder):
    made = Removal(removed=())
    made.write(folder)
    return folder / Removal.filename


def test_a_file_of_another_run_is_refused_on_a_cluster(tmp_path, monkeypatch):
    monkeypatch.setenv(run.VARIABLE, "run-a")
    selection().write(tmp_path)
    removal(tmp_path)
    assert Removal.read(tmp_path).run == Selection.read(tmp_path).run == "run-a"
    monkeypatch.setenv(run.VARIABLE, "run-b")
    for kind in (Selection, Removal):
        with pytest.raises(OtherRun, match=r"is of run run-a, this is run run-b"):
            kind.read(tmp_path)


def test_a_file_that_names_no_run_is_refused_in_one(tmp_path, monkeypatch):
    (tmp_path / Selection.filename).write_text(selection().model_dump_json())
    monkeypatch.setenv(run.VARIABLE, "run-a")
    with pytest.raises(OtherRun, match="no run that is known"):
        Selection.read(tmp_path)


def test_by_hand_another_model_begins_another_run_and_the_same_one_goes_on(tmp_path, monkeypatch):
    monkeypatch.delenv(run.VARIABLE, raising=False)
    selection().write(tmp_path)
    first = Selection.read(tmp_path).run
    removal(tmp_path)
    selection(reason="looked up again").write(tmp_path)
    assert Selection.read(tmp_path).run == Removal.read(tmp_path).run == first
    selection(digest="sha256:" + "1" * 64).write(tmp_path)
    assert Selection.read(tmp_path).run != first
    with pytest.raises(OtherRun, match=f"is of run {first}"):
        Removal.read(tmp_path)


def test_files_of_before_that_name_no_run_are_read_until_a_run_begins(tmp_path, monkeypatch):
    monkeypatch.delenv(run.VARIABLE, raising=False)
    (tmp_path / Selection.filename).write_text(selection().model_dump_json())
    removal(tmp_path)
    assert Removal.read(tmp_path).run == ""
    selection().write(tmp_path)
    with pytest.raises(OtherRun, match=r"no run that is known, this is run by-hand-.*Run remove_deployment again"):
        Removal.read(tmp_path)


@pytest.mark.parametrize("content", ["[1]", '"text"', "5", "{", "null", '{"run": 1}'])
def test_what_is_no_selection_names_no_run_and_says_so(content, tmp_path, monkeypatch):
    monkeypatch.delenv(run.VARIABLE, raising=False)
    (tmp_path / Selection.filename).write_text(content)
    assert run.current(tmp_path) == ""
    with pytest.raises(InvalidInput, match=r"selection\.json"):
        Selection.read(tmp_path)


@pytest.mark.parametrize("name", ["ai-engineer-1128221500", "3f0c9a52-6c1a-4a7e-9f0e-0d5c9a1c7b11", "x" * 63])
def test_a_label_names_the_run_itself_where_kubernetes_takes_it(name):
    assert run.label(name) == name


@pytest.mark.parametrize("name", ["x" * 64, "run of Ada: 1", "--a/b--", "größe"])
def test_a_label_is_one_that_kubernetes_takes_and_differs_for_another_run(name):
    found = run.label(name)
    assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", found)
    assert found != run.label(f"{name}!")
