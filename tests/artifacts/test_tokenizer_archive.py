"""The tokenizer between the stages: one file, the same bytes for the same files, unpacked without trust in it."""

from __future__ import annotations

import io
import zipfile

import pytest

from helpers.artifacts.tokenizer import pack_tokenizer, unpack_tokenizer
from helpers.errors import ArtifactMissing, InvalidInput
from helpers.runtime.workspace import home
from tests.plugins.records import a_selection, an_endpoint

FILES = {
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b"{}",
    "config.json": b"{}",
    "chat_template.jinja": b"{{ 1 }}",
}


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    (folder / "provenance").mkdir(parents=True)
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    (folder / "model.safetensors").write_bytes(b"weights" * 1000)
    (folder / "provenance" / "model.sig").write_bytes(b"{}")
    return folder


def endpoint_with(tokenizer):
    return an_endpoint(a_selection(), tokenizer=str(tokenizer))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_tokenizer_travels_without_the_weights(model, tmp_path):
    packed = pack_tokenizer(model, tmp_path / "artifacts")
    assert packed == tmp_path / "artifacts" / "tokenizer.zip"
    assert contents(endpoint_with(packed).tokenizer_folder()) == FILES


def test_a_folder_is_used_as_it_is_and_by_its_absolute_path(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert endpoint_with("model").tokenizer_folder() == model


def test_the_same_files_give_the_same_bytes_and_are_unpacked_once(model, tmp_path):
    first, second = pack_tokenizer(model, tmp_path / "a"), pack_tokenizer(model, tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()
    folder = unpack_tokenizer(first)
    (folder / "kept").touch()
    assert (unpack_tokenizer(first) / "kept").exists()


def archive(path, **files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    path.write_bytes(buffer.getvalue())
    return path


@pytest.mark.parametrize("name", ["../tokenizer.json", "/etc/passwd", "modeling.py", "sub/tokenizer.json"])
def test_what_is_no_tokenizers_file_is_refused_and_leaves_nothing(tmp_path, name):
    with pytest.raises(InvalidInput, match="no tokenizer's file"):
        unpack_tokenizer(archive(tmp_path / "tokenizer.zip", **{"tokenizer.json": b"{}", name: b"x"}))
    assert not [path for path in home().rglob("*") if path.is_file()]


def test_an_archive_that_unpacks_to_far_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("helpers.artifacts.tokenizer.MOST_BYTES", 1000)
    with pytest.raises(InvalidInput, match=r"tokenizer\.json"):
        unpack_tokenizer(archive(tmp_path / "tokenizer.zip", **{"tokenizer.json": b"0" * 1001}))


def test_a_missing_or_broken_archive_says_what_to_run(tmp_path):
    with pytest.raises(ArtifactMissing, match="Run deploy_model first"):
        endpoint_with(tmp_path / "tokenizer.zip").tokenizer_folder()
    (tmp_path / "tokenizer.zip").write_bytes(b"PK\3\4 no archive")
    with pytest.raises(InvalidInput, match=r"is no zip archive.*Run deploy_model again"):
        endpoint_with(tmp_path / "tokenizer.zip").tokenizer_folder()
