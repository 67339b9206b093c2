"""A model from this machine comes into quarantine as it is; the quarantine is closed, exclusive, and emptied."""

import os
import shutil
import sys
import tarfile
import threading
import time

import pytest
from pydantic import BaseModel

from helpers.errors import InvalidParameter, NotFound, RefusedModel, TimedOut
from helpers.ingestion import samples
from helpers.ingestion.sources import fetch
from helpers.runtime.locks import held
from helpers.runtime.polling import wait_for
from helpers.runtime.workspace import home
from tests.plugins.sources import a_policy, fetched, files_below, model, rules, sums


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "my-model")


def write(folder, files=None):
    for name, data in (files or model()).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def test_a_folder_is_copied_and_hashed(folder, policy, quarantine):
    (folder / "config.json").chmod(0o755)
    with fetched(str(folder), policy, quarantine) as result:
        assert dict(result.sums) == sums(model())
        assert quarantine in result.folder.parents
        assert not result.findings
        assert result.origin["name"] == "my-model"
        assert set(result.origin) == {"kind", "class", "group", "id", "name"}
        (folder / "config.json").write_text("changed later")
        assert (result.folder / "config.json").read_bytes() == model()["config.json"]
    assert not files_below(quarantine / result.folder.parent)


class Tiny(BaseModel):
    name: str = "tiny"

    def inputs_digest(self):
        return "sha256:1"

    def make(self, folder, say):
        write(folder)


def test_a_sample_is_made_by_its_name_and_then_kept(policy, quarantine, monkeypatch):
    monkeypatch.setitem(samples.SAMPLES, "tiny", Tiny())
    with fetched("sample://tiny", policy, quarantine) as result:
        assert set(result.sums) == {*model(), "sample.json"}
        assert result.facts["source"] == "sample://tiny"
        assert result.origin["id"] == str(home() / "samples" / "tiny")
    monkeypatch.setattr(Tiny, "make", lambda *_: pytest.fail("made again"))
    with fetched("sample://tiny", policy, quarantine) as result:
        assert set(result.sums) == {*model(), "sample.json"}


def test_an_image_that_cannot_make_a_sample_says_what_it_lacks(policy, quarantine, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    monkeypatch.delitem(sys.modules, "helpers.ingestion.samples.converting", raising=False)
    with pytest.raises(InvalidParameter, match="SOURCE"), fetch("sample://smollm2-135m-instruct", policy, quarantine):
        pass


@pytest.mark.parametrize("name", ["other", "../tiny", "/etc", "a/b", ""])
def test_nothing_but_a_sample_has_a_sample_s_name(name, policy, quarantine):
    with pytest.raises(InvalidParameter), fetch(f"sample://{name}", policy, quarantine):
        pass


@pytest.mark.parametrize("below", ["", "my-model"])
def test_an_archive_is_unpacked(below, folder, policy, quarantine, tmp_path):
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=below or ".")
    with fetched(str(archive), policy, quarantine) as result:
        assert dict(result.sums) == sums(model())


def test_an_archive_that_would_leave_its_folder_is_refused(folder, policy, quarantine, tmp_path):
    archive = tmp_path / "model.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(folder / "config.json", arcname="../../config.json")
    with fetched(str(archive), policy, quarantine) as result:
        assert rules(result) == {"path"}
        assert not result.complete
    assert not (tmp_path / "config.json").exists()


def test_a_folder_with_a_link_is_looked_at_where_it_is(folder, policy, quarantine):
    (folder / "LICENSE").symlink_to("/etc/passwd")
    with fetched(str(folder), policy, quarantine) as result:
        assert rules(result) == {"link"}
        assert result.folder == folder
        assert result.complete
    assert folder.is_dir()
    assert not quarantine.exists()


LEFT = {
    ".cache/huggingface/.gitignore": b"*",
    ".cache/huggingface/download/config.json.metadata": b"",
    ".git/HEAD": b"ref: refs/heads/main",
    ".gitattributes": b"*.safetensors filter=lfs",
    ".DS_Store": b"\0\0\0\1Bud1",
    "tokenizer/.DS_Store": b"\0\0\0\1Bud1",
    "SYSTEM_PROMPT.txt": b"Be brief.",
    "original/consolidated.00.pth": b"PK",
    "pytorch_model.bin": b"PK",
    "modeling_tiny.py": b"import os",
    "picture.png": b"PNG",
}


def test_what_stays_on_a_hub_stays_in_a_folder_too(tmp_path, policy, quarantine):
    folder = write(tmp_path / "my-model", model() | LEFT)
    with fetched(str(folder), policy, quarantine) as result:
        assert dict(result.sums) == sums(model())
        [note] = result.findings
    assert note.severity == "low"
    assert all(name in note.problem for name in ("pytorch_model.bin", "modeling_tiny.py", "SYSTEM_PROMPT.txt"))
    assert ".cache" not in note.problem
    assert {path.relative_to(folder).as_posix() for path in files_below(folder)} == set(model() | LEFT)


def test_what_stays_on_a_hub_stays_in_an_archive_too(tmp_path, policy, quarantine):
    folder = write(tmp_path / "my-model", model() | LEFT)
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.add(folder, arcname="my-model")
    with fetched(str(tmp_path / "model.tar.gz"), policy, quarantine) as result:
        assert dict(result.sums) == sums(model())


def snapshot(cache, files=None):
    """Write files as the hub's cache keeps them; return the snapshot's folder."""
    folder = cache / "models--org--name" / "snapshots" / ("c" * 40)
    blobs = folder.parent.parent / "blobs"
    for name, digest in sums(files or model()).items():
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        blobs.mkdir(exist_ok=True)
        (blobs / digest).write_bytes((files or model())[name])
        link.symlink_to(os.path.relpath(blobs / digest, link.parent))
    return folder


def test_a_snapshot_of_the_hubs_cache_is_a_folder_with_its_files(tmp_path, policy, quarantine):
    folder = snapshot(tmp_path, model() | LEFT)
    with fetched(str(folder), policy, quarantine) as result:
        assert dict(result.sums) == sums(model())
        assert not any(path.is_symlink() for path in result.folder.rglob("*"))


@pytest.mark.parametrize("target", ["/etc/passwd", "../../refs/main", "../../blobs/../refs/main", "../../blobs/x"])
def test_any_other_link_of_a_snapshot_is_refused(target, tmp_path, policy, quarantine):
    folder = snapshot(tmp_path)
    (folder.parent.parent / "refs").mkdir()
    (folder.parent.parent / "refs" / "main").write_text("c" * 40)
    (folder.parent.parent / "blobs" / "x").write_text("a blob has a hash as its name")
    (folder / "LICENSE").symlink_to(target)
    with fetched(str(folder), policy, quarantine) as result:
        assert rules(result) == {"link"}


def test_a_blob_that_is_a_link_itself_is_refused(tmp_path, policy, quarantine):
    folder = snapshot(tmp_path)
    blob = folder.parent.parent / "blobs" / ("d" * 40)
    blob.symlink_to("/etc/passwd")
    (folder / "LICENSE").symlink_to(os.path.relpath(blob, folder))
    with fetched(str(folder), policy, quarantine) as result:
        assert rules(result) == {"link"}


def test_a_policy_without_folders_takes_none(folder, tmp_path, quarantine):
    with fetched(str(folder), a_policy(tmp_path, folders=False), quarantine) as result:
        assert rules(result) == {"source"}
        assert not files_below(result.folder)


def test_what_is_no_source_is_said(tmp_path, policy, quarantine):
    with pytest.raises(NotFound, match="nothing-here"), fetch(str(tmp_path / "nothing-here"), policy, quarantine):
        pass
    with pytest.raises(InvalidParameter, match="ftp://"), fetch("ftp://host/model", policy, quarantine):
        pass
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidParameter, match="pipe"), fetch(str(tmp_path / "pipe"), policy, quarantine):
        pass


def test_the_quarantine_is_closed_to_others(folder, policy, quarantine):
    with fetched(str(folder), policy, quarantine) as result:
        for place in (quarantine, result.folder.parent):
            assert place.stat().st_mode & 0o777 == 0o700


def test_a_refused_model_does_not_stay(folder, policy, quarantine):
    with pytest.raises(RefusedModel), fetch(str(folder), policy, quarantine):
        raise RefusedModel("no", do="no")
    assert not files_below(quarantine) or all(path.suffix == ".lock" for path in files_below(quarantine))


def test_what_was_interrupted_stays(folder, policy, quarantine):
    with pytest.raises(KeyboardInterrupt), fetch(str(folder), policy, quarantine) as result:
        raise KeyboardInterrupt
    assert len(files_below(result.folder)) == len(model())
    shutil.rmtree(folder / "tokenizer")
    with fetched(str(folder), policy, quarantine) as again:
        assert "tokenizer/vocab.txt" not in again.sums


def test_what_nobody_came_back_for_goes(folder, policy, quarantine):
    left = {}
    for name, days in (("old", 15), ("new", 13), ("busy", 15)):
        (quarantine / name).mkdir(parents=True)
        (quarantine / name / "part").write_bytes(b"x")
        os.utime(quarantine / name, (time.time() - days * 86400,) * 2)
    with held(quarantine / "busy.lock"), fetch(str(folder), policy, quarantine):
        left = {path.name for path in quarantine.iterdir() if path.is_dir()}
    assert "old" not in left
    assert {"new", "busy"} <= left


def test_a_second_ingestion_of_the_same_source_waits(folder, policy, quarantine, capsys):
    order = []

    def second():
        with fetch(str(folder), policy, quarantine):
            order.append("second")

    with fetch(str(folder), policy, quarantine):
        thread = threading.Thread(target=second)
        thread.start()
        said = []
        wait_for(
            lambda: said.append(capsys.readouterr().out) or "waiting" in "".join(said), what="w", do="", timeout=30
        )
        order.append("first")
    thread.join(timeout=30)
    assert order == ["first", "second"]


def test_it_does_not_wait_forever(folder, tmp_path, quarantine):
    hasty = a_policy(tmp_path, limits={"hours": 0.0001})
    with (
        fetch(str(folder), hasty, quarantine),
        pytest.raises(TimedOut, match="other ingestion"),
        fetch(str(folder), hasty, quarantine),
    ):
        pass
