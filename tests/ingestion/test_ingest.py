"""What may come in, and what happens to it then."""

import hashlib
import json
import subprocess

import pytest

from helpers import ingestion, storage
from helpers.errors import InvalidInput, InvalidParameter, NotFound, RefusedModel
from helpers.registry import connect


@pytest.fixture
def folder(tmp_path):
    """A tiny model folder with real safetensors weights."""
    import numpy
    from safetensors.numpy import save_file

    path = tmp_path / "tiny-model"
    path.mkdir()
    save_file({"a": numpy.zeros((2, 3), "float32"), "b": numpy.ones(4, "float16")}, path / "model.safetensors")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (path / name).write_text("{}")
    (path / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Tiny\n")
    return path


def problems(folder):
    return {(finding.file, finding.problem.split(":")[0]) for finding in ingestion.inspect(folder)}


def test_a_clean_folder_has_no_finding(folder):
    assert ingestion.inspect(folder) == []


@pytest.mark.parametrize("name", ["model.bin", "model.pt", "weights.pkl", "modeling.py", "run.sh", "x.gguf", "data"])
def test_any_other_file_type_is_refused(folder, name):
    (folder / name).write_bytes(b"x")
    assert problems(folder) == {(name, "is neither safetensors weights nor a JSON or tokenizer file")}


def test_a_pickle_named_safetensors_is_refused(folder):
    (folder / "model.safetensors").write_bytes(b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07posix.")
    assert problems(folder) == {("model.safetensors", "is not safetensors")}


def test_links_broken_json_and_missing_files_are_refused_all_at_once(folder):
    (folder / "extra.json").symlink_to("/etc/hostname")
    (folder / "config.json").write_text("{")
    (folder / "tokenizer_config.json").unlink()
    assert problems(folder) == {
        ("extra.json", "is a symbolic link"),
        ("config.json", "is not JSON"),
        ("tokenizer_config.json", "is missing"),
    }
    with pytest.raises(RefusedModel, match=r"config\.json is not JSON.*extra\.json is a symbolic link"):
        ingestion.admit(folder)


def test_a_folder_without_weights_or_no_folder_is_refused(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    assert problems(folder) == {(".", "holds no safetensors weights")}
    with pytest.raises(NotFound, match="is no folder"):
        ingestion.inspect(tmp_path / "nowhere")


def test_the_digest_can_be_checked_with_sha256sum(folder):
    (folder / "SHA256SUMS").write_text(ingestion.manifest(folder))
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True, timeout=60)
    sums = (folder / "SHA256SUMS").read_bytes()
    assert ingestion.digest(folder) == "sha256:" + hashlib.sha256(sums).hexdigest()


def test_one_changed_byte_changes_the_digest(folder):
    before = ingestion.digest(folder)
    (folder / "tokenizer.json").write_text("{ }")
    assert ingestion.digest(folder) != before


def test_ingest_registers_a_candidate_with_its_provenance(folder, registry_server, tmp_path):
    settings = ingestion.Settings(source=str(folder), store=(tmp_path / "store").as_uri())
    registry = connect("local")
    selection = ingestion.ingest(settings, registry)
    assert (selection.name, selection.version, selection.license, selection.parameters) == (
        "tiny-model", "1.0.0", "apache-2.0", 10,
    )  # fmt: skip
    assert ingestion.digest(storage.local_path(selection.uri)) == selection.digest
    [version] = registry.versions()
    assert version.properties["approval"] == "candidate"
    assert version.properties["digest"] == selection.digest
    assert version.properties["source"] == str(folder)
    assert ingestion.ingest(settings, registry) == selection
    assert len(registry.versions()) == 1


def test_other_content_under_the_same_version_is_refused(folder, registry_server, tmp_path):
    settings = ingestion.Settings(source=str(folder), store=(tmp_path / "store").as_uri())
    registry = connect("local")
    selection = ingestion.ingest(settings, registry)
    (folder / "config.json").write_text(json.dumps({"changed": True}))
    with pytest.raises(InvalidInput, match=r"tiny-model 1\.0\.0 is in the store with other content"):
        ingestion.ingest(settings, registry)
    assert ingestion.digest(storage.local_path(selection.uri)) == selection.digest


def test_a_refused_folder_reaches_neither_store_nor_registry(folder, registry_server, tmp_path):
    (folder / "evil.py").write_text("")
    settings = ingestion.Settings(source=str(folder), store=(tmp_path / "store").as_uri())
    registry = connect("local")
    with pytest.raises(RefusedModel, match=r"evil\.py"):
        ingestion.ingest(settings, registry)
    assert registry.versions() == []
    assert not (tmp_path / "store").exists()


def test_bad_parameters_are_named():
    with pytest.raises(InvalidParameter, match="SOURCE"):
        ingestion.Settings(source="")
    with pytest.raises(InvalidParameter, match="MODEL_VERSION"):
        ingestion.Settings(source="x", model_version="1/2")
    with pytest.raises(InvalidParameter, match="SOURCE"):
        _ = ingestion.Settings(source="hf://org/name").folder
