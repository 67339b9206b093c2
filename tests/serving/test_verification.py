"""A model that stays in its bucket or image: every byte is verified, and only the tokenizer comes to this machine."""

from __future__ import annotations

import json
import tarfile

import pytest

from helpers import storage
from helpers.artifacts import Selection
from helpers.errors import DigestMismatch, NotFound, RefusedModel, SignatureInvalid
from helpers.ingestion.digests import hash_folder
from helpers.ingestion.publication import publish
from helpers.ingestion.sealing import seal
from helpers.ingestion.sealing.signing import SIGNATURE
from helpers.runtime.workspace import home
from helpers.serving.files import require_unchanged, stamp, verified
from tests.plugins import images
from tests.plugins.packages import FACTS, model_folder, shipped_policy
from tests.plugins.stores import throttled

IDS = {"registered_model_id": "1", "model_version_id": "2", "model_artifact_id": "3"}
SHARD, OTHER = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
TOKENIZER = {"config.json": b"{}", "tokenizer.json": b'{"model": {}}', "chat_template.jinja": b"{{ messages }}"}


@pytest.fixture
def sealed(tmp_path):
    folder = model_folder(tmp_path / "model", shard=300_000)
    for name, data in TOKENIZER.items():
        (folder / name).write_bytes(data)
    return seal(folder, hash_folder(folder), FACTS, shipped_policy())


def selected(sealed, uri):
    known = {"name": "tiny", "version": "1", "size_bytes": 600_000, "registry": "http://registry.invalid"}
    return Selection(uri=uri, digest=sealed.digest, **known, **IDS)


@pytest.fixture
def in_bucket(sealed, s3_bucket):
    return selected(sealed, publish(sealed, s3_bucket.uri))


@pytest.fixture
def in_image(sealed, oci_registry, tmp_path, monkeypatch):
    monkeypatch.setenv("OCI_BASE_IMAGE", "scratch")
    return selected(sealed, publish(sealed, f"oci://{oci_registry.host}/verified/{tmp_path.name.replace('_', '')}"))


def kept(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def files_here():
    return sorted(path.name for path in home().rglob("*") if path.is_file() and "keys" not in path.parts)


@pytest.mark.parametrize("where", ["in_bucket", "in_image"])
def test_only_the_tokenizer_comes_here(where, request):
    selection = request.getfixturevalue(where)
    before = files_here()
    assert kept(verified(selection, shipped_policy())) == TOKENIZER
    assert sorted(files_here()) == sorted([*before, *TOKENIZER])


def test_what_the_registrys_client_appends_to_an_address_is_no_part_of_it(in_bucket):
    selection = in_bucket.model_copy(update={"uri": f"{in_bucket.uri}?endpoint=http://s3&defaultRegion=x"})
    assert kept(verified(selection, shipped_policy())) == TOKENIZER


@pytest.mark.parametrize(
    ("attack", "error", "said"),
    [
        (lambda uri: storage.put(b"\1" * 300_000 + b"x", f"{uri}/{SHARD}"), DigestMismatch, f"{SHARD} changed"),
        (lambda uri: storage.put(b"import os", f"{uri}/modeling.py"), DigestMismatch, r"modeling\.py appeared"),
        (lambda uri: storage.delete(f"{uri}/LICENSE"), DigestMismatch, "LICENSE missing"),
        (lambda uri: storage.delete(f"{uri}/{SIGNATURE}"), SignatureInvalid, "nobody vouches for it"),
        (lambda uri: storage.put(b"{}", f"{uri}/{SIGNATURE}"), SignatureInvalid, "is signed by the key of nobody"),
    ],
)
def test_a_changed_bucket_is_refused(in_bucket, attack, error, said):
    attack(in_bucket.uri)
    with pytest.raises(error, match=said) as caught:
        verified(in_bucket, shipped_policy())
    assert in_bucket.uri in str(caught.value)


def test_an_empty_place_is_not_found(in_bucket):
    with pytest.raises(NotFound, match="is not in the store"):
        verified(in_bucket.model_copy(update={"uri": in_bucket.uri + "0"}), shipped_policy())


def test_a_write_to_the_bucket_after_the_check_is_seen(in_bucket):
    before = stamp(in_bucket)
    require_unchanged(in_bucket, before)
    storage.put(b"\1" * 300_000, f"{in_bucket.uri}/{OTHER}")
    with pytest.raises(DigestMismatch, match=rf"{OTHER}.* was written to while the model was deployed"):
        require_unchanged(in_bucket, before)


def layers_of(folder, **changes):
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {f"models/{name}": data for name, data in (files | changes).items()}


def test_an_image_of_anybodys_making_is_fine_if_its_files_are_the_signed_ones(sealed, oci_registry):
    layer = images.layer({"etc/passwd": b"x", **layers_of(sealed.folder)}, packed=True)
    digest = images.push(oci_registry.host, "verified/packed", "1", layer)
    selection = selected(sealed, f"oci://{oci_registry.host}/verified/packed@{digest}")
    assert kept(verified(selection, shipped_policy())) == TOKENIZER


@pytest.mark.parametrize(
    ("layers", "error", "said"),
    [
        (lambda folder: [layers_of(folder, **{SHARD: b"other"})], DigestMismatch, f"{SHARD} changed"),
        (lambda folder: [layers_of(folder), {f"models/{SHARD}": b"other"}], RefusedModel, "in an earlier layer"),
        (lambda folder: [layers_of(folder), {"models/.wh.LICENSE": b""}], RefusedModel, "is a whiteout"),
        (lambda folder: [layers_of(folder), {"models//more.json": b""}], RefusedModel, "more.json"),
        (lambda folder: [{"etc/passwd": b"x"}], SignatureInvalid, "nobody vouches for it"),
    ],
)
def test_a_changed_image_is_refused(sealed, oci_registry, layers, error, said):
    packed = [images.layer(files) for files in layers(sealed.folder)]
    digest = images.push(oci_registry.host, "verified/changed", "1", *packed)
    with pytest.raises(error, match=said):
        verified(selected(sealed, f"oci://{oci_registry.host}/verified/changed@{digest}"), shipped_policy())


def test_a_link_in_an_image_is_refused(sealed, oci_registry):
    layer = images.layer(layers_of(sealed.folder), links={"models/extra.json": "/etc/passwd"})
    digest = images.push(oci_registry.host, "verified/linked", "1", layer)
    with pytest.raises(RefusedModel, match=r"extra\.json is a symbolic link"):
        verified(selected(sealed, f"oci://{oci_registry.host}/verified/linked@{digest}"), shipped_policy())


def test_a_layer_that_was_changed_in_the_registry_is_refused(in_image, oci_registry):
    manifest = json.loads(oci_registry.blob(in_image.uri.rpartition("@")[2]).read_bytes())
    blob = oci_registry.blob(manifest["layers"][0]["digest"])
    before = blob.read_bytes()
    changed = bytearray(before)
    changed[tarfile.BLOCKSIZE] ^= 1
    blob.write_bytes(changed)
    try:
        with pytest.raises(RefusedModel, match=r"has other content than sha256:\w+ in that layer"):
            verified(in_image, shipped_policy())
    finally:
        blob.write_bytes(before)  # the registry keeps equal layers once


@pytest.mark.load
def test_a_line_that_breaks_is_taken_up_again(in_image, oci_registry):
    with throttled(oci_registry.host, 2_000_000, broken_after=200_000) as line:
        selection = in_image.model_copy(update={"uri": in_image.uri.replace(oci_registry.host, line.address)})
        assert kept(verified(selection, shipped_policy())) == TOKENIZER
        assert line.breaks > 1
