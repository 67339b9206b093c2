import os
import subprocess
import sys

import pytest

from helpers.artifacts import Selection, write_atomic
from helpers.errors import ArtifactMissing, InvalidInput, StoreFailed


def selection(**changes):
    known = {
        "name": "m", "version": "1", "uri": "file:///m", "digest": "sha256:" + "0" * 64, "size_bytes": 1,
        "registry": "http://r", "registered_model_id": "1", "model_version_id": "2", "model_artifact_id": "3",
    }  # fmt: skip
    return Selection(**known | changes)


def test_what_one_stage_writes_the_next_one_reads(tmp_path):
    assert selection().write(tmp_path) == tmp_path / "selection.json"
    assert Selection.read(tmp_path) == selection()


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
