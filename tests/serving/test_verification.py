"""A model that stays in its bucket or image: it is verified by signed digests, or every byte of it is read."""

from __future__ import annotations

import json
import tarfile
import time

import pytest

from helpers import storage
from helpers.artifacts import Selection
from helpers.errors import DigestMismatch, NotFound, RefusedModel, SignatureInvalid
from helpers.ingestion.digests import hash_folder
from helpers.ingestion.oci import Registry
from helpers.ingestion.publication import layers as layers_module
from helpers.ingestion.publication import publish
from helpers.ingestion.sealing import STORED, seal
from helpers.ingestion.sealing.signing import SIGNATURE
from helpers.runtime.workspace import home
from helpers.serving.files import BYTES, DIGEST, verified
from helpers.storage import checksums
from tests.plugins import images
from tests.plugins.packages import FACTS, model_folder, package, shipped_policy
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
    assert kept(verified(selection, shipped_policy()).folder) == TOKENIZER
    assert sorted(files_here()) == sorted([*before, *TOKENIZER])


def test_what_the_registrys_client_appends_to_an_address_is_no_part_of_it(in_bucket):
    selection = in_bucket.model_copy(update={"uri": f"{in_bucket.uri}?endpoint=http://s3&defaultRegion=x"})
    assert kept(verified(selection, shipped_policy()).folder) == TOKENIZER


@pytest.mark.parametrize(
    ("attack", "error", "said"),
    [
        (lambda uri: storage.put(b"\1" * 300_000 + b"x", f"{uri}/{SHARD}"), DigestMismatch, f"{SHARD} changed"),
        (lambda uri: storage.put(b"import os", f"{uri}/modeling.py"), DigestMismatch, r"modeling\.py appeared"),
        (lambda uri: storage.delete(f"{uri}/LICENSE"), DigestMismatch, "LICENSE missing"),
        (lambda uri: storage.delete(f"{uri}/{SIGNATURE}"), SignatureInvalid, "it is not signed"),
        (lambda uri: storage.put(b"{}", f"{uri}/{SIGNATURE}"), SignatureInvalid, "is signed by the key without a name"),
    ],
)
@pytest.mark.parametrize("verify", ["digest", "bytes"])
def test_a_changed_bucket_is_refused(in_bucket, attack, error, said, verify):
    attack(in_bucket.uri)
    with pytest.raises(error, match=said) as caught:
        verified(in_bucket, shipped_policy(), verify)
    assert in_bucket.uri in str(caught.value)


def test_an_empty_place_is_not_found(in_bucket):
    with pytest.raises(NotFound, match="is not in the store"):
        verified(in_bucket.model_copy(update={"uri": in_bucket.uri + "0"}), shipped_policy())


def layers_of(folder, **changes):
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {f"models/{name}": data for name, data in (files | changes).items()}


def test_an_image_of_anybodys_making_is_fine_if_its_files_are_the_signed_ones(sealed, oci_registry):
    layer = images.layer({"etc/passwd": b"x", **layers_of(sealed.folder)}, packed=True)
    digest = images.push(oci_registry.host, "verified/packed", "1", layer)
    selection = selected(sealed, f"oci://{oci_registry.host}/verified/packed@{digest}")
    assert kept(verified(selection, shipped_policy()).folder) == TOKENIZER


@pytest.mark.parametrize(
    ("layers", "error", "said"),
    [
        (lambda folder: [layers_of(folder, **{SHARD: b"other"})], DigestMismatch, f"{SHARD} changed"),
        (lambda folder: [layers_of(folder), {f"models/{SHARD}": b"other"}], RefusedModel, "in an earlier layer"),
        (lambda folder: [layers_of(folder), {"models/.wh.LICENSE": b""}], RefusedModel, "is a whiteout"),
        (lambda folder: [layers_of(folder), {"models//more.json": b""}], RefusedModel, "more.json"),
        (lambda folder: [{"etc/passwd": b"x"}], SignatureInvalid, "it is not signed"),
    ],
)
@pytest.mark.parametrize("verify", ["digest", "bytes"])
def test_a_changed_image_is_refused(sealed, oci_registry, layers, error, said, verify):
    packed = [images.layer(files) for files in layers(sealed.folder)]
    digest = images.push(oci_registry.host, "verified/changed", "1", *packed)
    with pytest.raises(error, match=said):
        verified(selected(sealed, f"oci://{oci_registry.host}/verified/changed@{digest}"), shipped_policy(), verify)


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
        assert kept(verified(selection, shipped_policy()).folder) == TOKENIZER
        assert line.breaks > 1


LARGE = storage.PART + 1_000_000  # bytes of a shard that comes in two parts


def packed(folder, store, shard):
    """Seal a model with a tokenizer and two shards for a store, and publish it there."""
    sealed = package(folder, shard=shard, store=store)
    return selected(sealed, publish(sealed, store))


@pytest.fixture
def large(s3_bucket, tmp_path):
    return packed(tmp_path / "large", s3_bucket.uri, LARGE)


@pytest.fixture
def layered(oci_registry, tmp_path, monkeypatch):
    """An image in which each shard has a layer of its own."""
    monkeypatch.setenv("OCI_BASE_IMAGE", "scratch")
    monkeypatch.setattr(layers_module, "LARGE", 100_000)
    return packed(tmp_path / "layered", f"oci://{oci_registry.host}/layered/{tmp_path.name.replace('_', '')}", 300_000)


@pytest.fixture
def read(monkeypatch):
    """The names of the objects and the sizes of the layers that are read from here on."""
    seen, stream, blob = [], storage.stream, Registry.blob
    monkeypatch.setattr(storage, "stream", lambda uri: seen.append(uri.rpartition("/")[2]) or stream(uri))
    monkeypatch.setattr(Registry, "blob", lambda self, digest, at: seen.append(digest) or blob(self, digest, at))
    return seen


def test_no_weights_are_read_from_a_bucket_that_keeps_signed_checksums(large, read):
    started = time.monotonic()
    found = verified(large, shipped_policy())
    assert time.monotonic() - started < 2
    assert (found.how, kept(found.folder)) == (DIGEST, {"config.json": b"{}"})
    assert not {SHARD, OTHER} & {*read}
    assert verified(large, shipped_policy(), "bytes").how == BYTES
    assert {SHARD, OTHER} <= {*read}


@pytest.mark.parametrize("verify", ["digest", "bytes"])
@pytest.mark.parametrize("checked", [True, False])
def test_another_object_of_the_same_size_and_parts_is_refused(large, verify, checked):
    uri = f"{large.uri}/{SHARD}"
    storage.put(iter([b"\3" * LARGE]), uri, size=LARGE, checked=checked)
    assert bool(checksums.kept(uri)) == checked
    with pytest.raises(DigestMismatch, match=f"{SHARD} changed"):
        verified(large, shipped_policy(), verify)


def test_two_objects_that_changed_places_are_refused(large):
    for name, byte in ((SHARD, b"\2"), (OTHER, b"\1")):
        storage.put(iter([byte * LARGE]), f"{large.uri}/{name}", size=LARGE, checked=True)
    with pytest.raises(DigestMismatch, match=f"{SHARD}, {OTHER} changed"):
        verified(large, shipped_policy())


def test_a_checksum_that_nobody_signed_counts_for_nothing(large):
    storage.put(iter([b"\3" * LARGE]), f"{large.uri}/{SHARD}", size=LARGE, checked=True)
    stored = json.loads(storage.get(f"{large.uri}/{STORED}")) | {SHARD: checksums.kept(f"{large.uri}/{SHARD}")}
    storage.put(json.dumps(stored).encode(), f"{large.uri}/{STORED}")
    with pytest.raises(DigestMismatch, match=f"{SHARD}, {STORED} changed"):
        verified(large, shipped_policy())


def test_where_the_store_keeps_no_checksum_every_byte_is_read_and_it_is_said(large, read):
    storage.put(iter([b"\1" * LARGE]), f"{large.uri}/{SHARD}", size=LARGE)
    assert verified(large, shipped_policy()).how == f"{BYTES} of {SHARD}: the store keeps no checksum"
    assert SHARD in read
    assert OTHER not in read


def test_a_model_of_before_is_read_and_it_is_said(s3_bucket, tmp_path, read):
    sealed = package(tmp_path / "large", shard=LARGE)
    how = verified(selected(sealed, publish(sealed, s3_bucket.uri)), shipped_policy()).how
    assert how.startswith(f"{BYTES} of {SHARD}, {OTHER}: ")
    assert {SHARD, OTHER} <= {*read}


def digests(selection, registry):
    manifest = json.loads(registry.blob(selection.uri.rpartition("@")[2]).read_bytes())
    return [layer["digest"] for layer in manifest["layers"]]


def test_no_weights_are_read_from_an_image_whose_layers_are_signed(layered, oci_registry, read):
    *shards, small, provenance = digests(layered, oci_registry)
    found = verified(layered, shipped_policy())
    assert (found.how, read) == (DIGEST, [provenance, small])
    assert kept(found.folder) == {"config.json": b"{}"}
    assert verified(layered, shipped_policy(), "bytes").how == BYTES
    assert {*shards} <= {*read}


@pytest.mark.parametrize("verify", ["digest", "bytes"])
def test_an_image_with_another_layer_of_the_same_size_is_refused(layered, oci_registry, verify):
    before = [oci_registry.blob(digest).read_bytes() for digest in digests(layered, oci_registry)]
    other = before[0].replace(b"\1" * 300_000, b"\3" * 300_000)
    assert len(other) == len(before[0])
    assert other != before[0]
    place = layered.uri.partition("@")[0].removeprefix(f"{oci_registry.uri}/")
    digest = images.push(oci_registry.host, place, "1", other, *before[1:])
    swapped = layered.model_copy(update={"uri": f"{layered.uri.partition('@')[0]}@{digest}"})
    with pytest.raises(DigestMismatch, match=f"{SHARD} changed"):
        verified(swapped, shipped_policy(), verify)


def test_an_image_with_one_file_more_is_refused(layered, oci_registry):
    before = [oci_registry.blob(digest).read_bytes() for digest in digests(layered, oci_registry)]
    more = images.layer({"models/modeling.py": b"import os"})
    digest = images.push(oci_registry.host, "layered/more", "1", more, *before)
    with pytest.raises(DigestMismatch, match=r"modeling\.py appeared"):
        verified(layered.model_copy(update={"uri": f"{oci_registry.uri}/layered/more@{digest}"}), shipped_policy())


def test_an_image_of_before_is_read_and_it_is_said(in_image):
    assert verified(in_image, shipped_policy()).how.startswith(f"{BYTES} of LICENSE, {SHARD}, {OTHER}, ")
