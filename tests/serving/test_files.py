"""Before anything is served: exactly the files that somebody trusted signed as the registered model, or an error."""

import json
import os
import shutil

import pytest

from helpers import storage
from helpers.artifacts import Hardware, Selection
from helpers.errors import DigestMismatch, NotFound, SignatureInvalid
from helpers.ingestion.digests import hash_folder
from helpers.ingestion.publication import publish
from helpers.ingestion.sealing.signing import SIGNATURE, sign, signer_name
from helpers.runtime import keys
from helpers.runtime.workspace import home
from helpers.serving import files
from helpers.serving.files import fitting, verified_folder
from helpers.serving.settings import Settings
from tests.plugins.packages import model_folder, package, shipped_policy

FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
IDS = {"registered_model_id": "1", "model_version_id": "2", "model_artifact_id": "3"}


@pytest.fixture
def selection(tmp_path):
    return published(package(tmp_path / "model"), tmp_path)


def published(sealed, tmp_path):
    known = {"name": "tiny", "version": "1", "size_bytes": 2000, "registry": "http://registry.invalid"}
    return Selection(uri=publish(sealed, (tmp_path / "store").as_uri()), digest=sealed.digest, **known, **IDS)


@pytest.fixture
def folder(selection):
    return storage.local_path(selection.uri)


def write(path, data):
    """Write as somebody with rights in the store would, whatever the file's mode says."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    write(path, bytes(data))


def swap(one, other):
    first, second = one.read_bytes(), other.read_bytes()
    write(one, second)
    write(other, first)


def test_what_was_published_is_served_from_where_it_lies(selection, folder):
    assert verified_folder(selection, shipped_policy()) == folder


@pytest.mark.parametrize(
    ("attack", "said"),
    [
        (lambda folder: flip(folder / FIRST), f"{FIRST} changed"),
        (lambda folder: swap(folder / FIRST, folder / SECOND), f"{FIRST}, {SECOND} changed"),
        (lambda folder: write(folder / "modeling.py", b"import os"), r"modeling\.py appeared"),
        (lambda folder: write(folder / "provenance" / "more.json", b"{}"), r"provenance/more\.json appeared"),
        (lambda folder: (folder / "config.json").unlink(), r"config\.json missing"),
        (lambda folder: (folder / "config.json").rename(folder / "c.json"), r"c\.json appeared; config\.json missing"),
        (lambda folder: write(folder / "LICENSE", b"All rights reserved"), "LICENSE changed"),
        (lambda folder: flip(folder / "provenance" / "provenance.json"), r"provenance/provenance\.json changed"),
        (lambda folder: flip(folder / "provenance" / "bom.cdx.json"), r"provenance/bom\.cdx\.json changed"),
        (lambda folder: flip(folder / "provenance" / "SHA256SUMS"), "provenance/SHA256SUMS changed"),
        (lambda folder: (folder / "link.json").symlink_to("config.json"), r"link\.json is a link"),
        (lambda folder: (folder / "sub").symlink_to("tokenizer"), r"sub is a link"),
        (lambda folder: os.mkfifo(folder / "pipe.json"), r"pipe\.json is a link or no regular file"),
    ],
)
def test_a_change_after_the_approval_is_refused_with_the_files_that_changed(selection, folder, attack, said):
    attack(folder)
    with pytest.raises(DigestMismatch, match=said) as caught:
        verified_folder(selection, shipped_policy())
    assert "tiny 1" in str(caught.value)
    assert "Do not serve it" in str(caught.value)


def test_many_changes_make_a_short_message(selection, folder):
    for number in range(100):
        (folder / f"added-{number:03}.json").write_text("{}")
    with pytest.raises(DigestMismatch, match=r"added-000\.json, .* and 95 more appeared") as caught:
        verified_folder(selection, shipped_policy())
    assert len(str(caught.value)) < 800


def resign(folder, policy):
    """Sign a folder as it is, as an insider with this key would."""
    names = {name: value for name, value in hash_folder(folder).items() if name != SIGNATURE}
    write(folder / SIGNATURE, sign("tiny", names, policy))


def test_a_change_that_somebody_else_signed_is_refused_by_the_signer(selection, folder, monkeypatch):
    private, trusted = keys.new_key(), signer_name(shipped_policy())
    public = keys.public_half(private)
    write(folder / "config.json", b'{"changed": true}')
    with monkeypatch.context() as stranger:
        stranger.setenv("SIGNING_KEY", private.decode())
        stranger.setenv("SIGNING_PUBLIC_KEY", public.decode())
        resign(folder, shipped_policy())
    said = f"is signed by the key {keys.fingerprint(public)}, and only {trusted} is trusted"
    with pytest.raises(SignatureInvalid, match=said):
        verified_folder(selection, shipped_policy())


def test_a_change_that_was_signed_with_the_trusted_key_is_still_not_what_was_registered(selection, folder):
    write(folder / "config.json", b'{"changed": true}')
    resign(folder, shipped_policy())
    with pytest.raises(DigestMismatch, match=f"a model that was signed too, and {selection.digest} was registered"):
        verified_folder(selection, shipped_policy())


def test_the_signature_of_another_model_is_refused(selection, folder, tmp_path):
    model_folder(tmp_path / "other", shard=50)
    other = published(package(tmp_path / "another", shard=50), tmp_path)
    write(folder / SIGNATURE, (storage.local_path(other.uri) / SIGNATURE).read_bytes())
    with pytest.raises(SignatureInvalid, match=f"has the signature of another model, {other.digest}"):
        verified_folder(selection, shipped_policy())


def test_another_signed_model_in_its_place_is_refused(selection, folder, tmp_path):
    other = published(package(tmp_path / "another", shard=50), tmp_path)
    shutil.rmtree(folder)
    shutil.copytree(storage.local_path(other.uri), folder)
    with pytest.raises(DigestMismatch, match=f"it is {other.digest}, a model that was signed too"):
        verified_folder(selection, shipped_policy())


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: write(path, b"")])
def test_a_missing_or_empty_signature_is_refused(selection, folder, damage):
    damage(folder / SIGNATURE)
    with pytest.raises(SignatureInvalid, match=f"tiny 1 in {folder}"):
        verified_folder(selection, shipped_policy())


def test_a_signature_that_covers_less_than_there_is_is_refused(selection, folder):
    sums = {name: value for name, value in hash_folder(folder).items() if name not in (SIGNATURE, "LICENSE")}
    write(folder / SIGNATURE, sign("tiny", sums, shipped_policy()))
    with pytest.raises(SignatureInvalid, match="the signature of another model"):
        verified_folder(selection, shipped_policy())


def test_a_policy_that_trusts_another_key_refuses_what_this_machine_signed(selection):
    public = keys.public_half(keys.new_key())
    with pytest.raises(SignatureInvalid, match=f"only {keys.fingerprint(public)} is trusted"):
        verified_folder(selection, shipped_policy(public_key=public.decode()))


def test_a_model_that_is_gone_is_not_found(selection, folder):
    shutil.rmtree(folder)
    with pytest.raises(NotFound, match="is not in the store"):
        verified_folder(selection, shipped_policy())


def test_what_was_changed_in_a_registry_is_refused(oci_registry, tmp_path, monkeypatch):
    monkeypatch.setenv("OCI_BASE_IMAGE", "scratch")
    sealed = package(tmp_path / "model")
    uri = publish(sealed, f"oci://{oci_registry.host}/files/tiny")
    selection = published(package(tmp_path / "again"), tmp_path).model_copy(update={"uri": uri})
    folder = verified_folder(selection, shipped_policy())
    assert hash_folder(folder).items() >= sealed.sums.items()
    flip(folder / FIRST)
    with pytest.raises(DigestMismatch, match=f"{FIRST} changed.*remove {folder}"):
        verified_folder(selection, shipped_policy())
    shutil.rmtree(folder)
    assert verified_folder(selection, shipped_policy()) == folder


def test_a_changed_object_in_a_bucket_is_refused(s3_bucket, tmp_path):
    sealed = package(tmp_path / "model", shard=2_000_000)
    uri = publish(sealed, s3_bucket.uri)
    selection = published(package(tmp_path / "again", shard=2_000_000), tmp_path).model_copy(update={"uri": uri})
    folder = verified_folder(selection, shipped_policy())
    assert folder.parent == home() / "models"
    bom = json.loads(storage.get(f"{uri}/provenance/bom.cdx.json"))
    bom["metadata"]["component"]["licenses"] = [{"license": {"id": "MIT"}}]
    storage.put(json.dumps(bom).encode(), f"{uri}/provenance/bom.cdx.json")
    with pytest.raises(DigestMismatch, match=r"provenance/bom\.cdx\.json changed"):
        verified_folder(selection, shipped_policy())


@pytest.mark.parametrize(
    ("config", "asked", "served"),
    [
        ({"max_position_embeddings": 1024}, 2048, 1024),
        ({"max_position_embeddings": 8192}, 2048, 2048),
        ({"max_position_embeddings": 1024, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}, 2048, 1024),
        ({"max_position_embeddings": 1024, "rope_scaling": {"type": "linear", "factor": 4}}, 2048, 2048),
        ({"max_position_embeddings": 1024, "rope_parameters": {"rope_type": "yarn", "factor": 4}}, 2048, 2048),
        ({"text_config": {"max_position_embeddings": 512}}, 2048, 512),
        ({"n_positions": 1024}, 2048, 2048),
    ],
)
def test_the_context_is_no_longer_than_the_model_s_own(config, asked, served, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert fitting(Settings(max_model_len=asked), tmp_path).max_model_len == served


SIZE = 2_000_000_000  # bytes of the weights as they are stored


@pytest.mark.parametrize(
    ("config", "known", "size", "given", "arguments"),
    [
        ({"dtype": "bfloat16"}, False, SIZE, "", ("--enforce-eager", "--dtype=float32")),
        ({"torch_dtype": "bfloat16"}, False, SIZE, "", ("--enforce-eager", "--dtype=float32")),
        ({"dtype": "bfloat16"}, True, SIZE, "", ("--enforce-eager",)),
        ({"dtype": "float16"}, False, SIZE, "", ("--enforce-eager",)),
        ({"dtype": "bfloat16", "quantization_config": {"bits": 4}}, False, SIZE, "", ("--enforce-eager",)),
        ({"dtype": "bfloat16"}, False, 3 * SIZE, "", ("--enforce-eager",)),
        ({"dtype": "bfloat16"}, False, SIZE, "--seed 3", ("--seed", "3")),
    ],
)
def test_a_cpu_without_bfloat16_computes_in_float32_where_that_fits(
    config, known, size, given, arguments, tmp_path, monkeypatch
):
    monkeypatch.setattr(files, "has_bfloat16", lambda: known)
    monkeypatch.setattr(files, "this_machine", lambda: Hardware(type="cpu", count=2, memory_gib=16))
    (tmp_path / "config.json").write_text(json.dumps(config))
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(size)
    assert fitting(Settings(target="local", engine_args=given), tmp_path).arguments == arguments
