"""What is published is there as it was signed or cannot be seen; it is there once, and repaired where it is damaged."""

import base64
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import httpx
import pytest

from helpers import storage
from helpers.artifacts import Selection
from helpers.errors import DigestMismatch, InvalidInput, InvalidParameter, NotFound, StoreFailed, StoreUnreachable
from helpers.ingestion.digests import hash_folder
from helpers.ingestion.publication import publish
from helpers.ingestion.publication.repository import Repository, digest_of
from helpers.ingestion.sealing.signing import SIGNATURE
from helpers.runtime.locks import held
from helpers.runtime.workspace import home
from helpers.serving.files import verified_folder
from helpers.storage import checksums
from tests.plugins.packages import package, shipped_policy
from tests.plugins.stores import PASSWORD, USER, oci_serving

SHARD = "model-00001-of-00002.safetensors"
STORES = ["folder", "folder elsewhere", "bucket", "registry"]


@pytest.fixture(params=STORES)
def store(request, tmp_path, monkeypatch):
    """The URI of an empty store of each kind."""
    if request.param == "folder":
        yield (tmp_path / "the store").as_uri()
    elif request.param == "folder elsewhere":
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            assert os.stat(folder).st_dev != tmp_path.stat().st_dev
            yield Path(folder).as_uri()
    elif request.param == "bucket":
        yield f"{request.getfixturevalue('s3_bucket').uri}/some/prefix"
    else:
        monkeypatch.setenv("OCI_BASE_IMAGE", "scratch")
        name = hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]
        yield f"oci://{request.getfixturevalue('oci_registry').host}/team/{name}"


@pytest.fixture
def make(tmp_path):
    """Seals the same model again and again, each time in a folder of its own."""
    return lambda name, **given: package(tmp_path / "quarantine" / name, **given)


def selected(package, uri):
    known = {"name": "tiny", "version": "1", "size_bytes": 10_000, "registry": "http://registry.invalid"}
    ids = {"registered_model_id": "1", "model_version_id": "2", "model_artifact_id": "3"}
    return Selection(uri=uri, digest=package.digest, **known, **ids)


def verified(package, uri):
    """Return the files that would be served, from the store and not from an earlier download."""
    shutil.rmtree(home() / "models", ignore_errors=True)
    return hash_folder(verified_folder(selected(package, uri), shipped_policy()))


def stored(uri):
    """Return how many bytes each thing in the store has."""
    if uri.startswith("oci:"):
        with Repository.of(uri.partition("@")[0], "x") as repository:
            _, manifest = repository.image(uri.partition("@")[2])
            return {item["digest"]: item["size"] for item in manifest["layers"]}
    return storage.sizes(uri)


def test_what_is_published_verifies_and_lies_under_its_digest(store, make):
    first = make("first", store=store)
    sealed = hash_folder(first.folder)
    uri = publish(first, store)
    assert verified(first, uri) == sealed
    if not uri.startswith("oci:"):
        assert uri == f"{store}/models/{first.digest.removeprefix('sha256:')}"


def test_the_same_content_again_is_recognized_and_nothing_is_stored_twice(store, make):
    uri = publish(make("first", store=store), store)
    before, signature = stored(uri), verified(make("first again"), uri)[SIGNATURE]
    again = make("second", version="2.0.0", store=store)
    assert publish(again, store) == uri
    assert stored(uri) == before
    assert verified(again, uri)[SIGNATURE] == signature


def test_under_a_new_key_only_the_provenance_is_written_anew(store, make):
    uri = publish(make("first"), store)
    first = stored(uri)
    shutil.rmtree(home() / "keys")
    second = make("second")
    again = publish(second, store)
    assert verified(second, again).items() >= second.sums.items()
    if uri.startswith("oci:"):
        assert len(first.items() & stored(again).items()) == len(first) - 1
    else:
        assert again == uri


@pytest.mark.parametrize("lost", [SIGNATURE, "provenance/SHA256SUMS", SHARD, "config.json"])
@pytest.mark.parametrize("store", ["folder", "folder elsewhere", "bucket"], indirect=True)
def test_what_an_earlier_attempt_did_not_finish_is_completed(store, make, lost):
    uri = publish(make("first"), store)
    storage.delete(f"{uri}/{lost}")
    second = make("second")
    assert publish(second, store) == uri
    assert verified(second, uri).keys() >= second.sums.keys()


@pytest.mark.parametrize("name", [SHARD, SIGNATURE, "provenance/bom.cdx.json", "added.json"])
@pytest.mark.parametrize("store", ["folder", "bucket"], indirect=True)
def test_what_was_damaged_is_repaired_by_publishing_it_again(store, make, name):
    uri = publish(make("first"), store)
    storage.put(b"x" * 1000, f"{uri}/{name}")
    second = make("second")
    assert publish(second, store) == uri
    assert verified(second, uri).items() >= second.sums.items()


@pytest.mark.parametrize("name", [SHARD, "config.json"])
@pytest.mark.parametrize("bound", [True, False])
def test_a_file_that_changed_since_it_was_signed_is_refused_and_nothing_becomes_visible(store, make, name, bound):
    sealed = make("first", shard=1000 + bound, store=store if bound else "")  # the registry keeps equal layers once
    known = (sealed.folder / name).read_bytes()
    (sealed.folder / name).write_bytes(b"!" * len(known))
    with pytest.raises(InvalidInput, match=r"changed after it was signed\. Ingest the model again"):
        publish(sealed, store)
    if store.startswith("oci:"):
        with Repository.of(store, "x") as repository:
            assert repository.image(sealed.digest.removeprefix("sha256:")) is None
    else:
        assert not storage.exists(f"{store}/models/{sealed.digest.removeprefix('sha256:')}/{SIGNATURE}")


def test_what_the_store_keeps_by_a_signed_checksum_is_not_read_again(s3_bucket, make, monkeypatch):
    shard = storage.PART + 1
    uri = publish(make("first", shard=shard, store=s3_bucket.uri), s3_bucket.uri)
    other = SHARD.replace("00001-of", "00002-of")
    storage.put(iter([b"\3" * shard]), f"{uri}/{other}", size=shard, checked=True)
    read, stream = [], storage.stream
    monkeypatch.setattr(storage, "stream", lambda uri: read.append(uri.rpartition("/")[2]) or stream(uri))
    second = make("second", shard=shard, store=s3_bucket.uri)
    assert publish(second, s3_bucket.uri) == uri
    assert SHARD not in read
    assert checksums.kept(f"{uri}/{other}") == second.stored[other]


def test_a_store_that_refuses_checksums_gets_the_files_without(s3_bucket, make, monkeypatch):
    put, refused = storage.put, []

    def knows_no_checksum(data, uri, **options):
        if options.pop("checked", False):
            refused.append(uri)
            raise StoreFailed(
                "501 Not Implemented: a header you provided implies functionality that is not implemented", do=""
            )
        return put(data, uri, **options)

    monkeypatch.setattr(storage, "put", knows_no_checksum)
    sealed = make("first", store=s3_bucket.uri)
    uri = publish(sealed, s3_bucket.uri)
    assert len(refused) == len(sealed.sums)
    assert set(storage.sizes(uri)) >= {*sealed.sums, "provenance/model.sig"}


def test_published_files_cannot_be_written_by_accident(tmp_path, make):
    sealed = make("first")
    folder = storage.local_path(publish(sealed, tmp_path.as_uri()))
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o444}
    assert not sealed.folder.exists()  # it is the published folder now: no second copy was made


def test_what_a_killed_publication_left_in_the_store_is_removed_but_not_what_a_living_one_uses(tmp_path, make):
    models = tmp_path / "models"
    for name in ("dead", "alive"):
        (models / f".work-{name}").mkdir(parents=True)
        (models / f".work-{name}.lock").touch()
    with held(models / ".work-alive.lock"):
        uri = publish(make("first"), tmp_path.as_uri())
        assert {path.name for path in models.iterdir()} == {".work-alive", ".work-alive.lock", Path(uri).name}


def test_a_store_that_cannot_be_written_is_named(tmp_path, make, s3_bucket, oci_registry, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreFailed, match=f"{tmp_path}/file/models"):
        publish(make("first"), (tmp_path / "file").as_uri())
    with pytest.raises(StoreUnreachable, match="s3://no-such-bucket/models"):
        publish(make("second"), "s3://no-such-bucket")
    monkeypatch.setenv("OCI_BASE_IMAGE", "scratch")
    with pytest.raises(StoreUnreachable, match=r"oci://127\.0\.0\.1:9/team/tiny"):
        publish(make("third"), "oci://127.0.0.1:9/team/tiny")
    with pytest.raises(InvalidParameter, match=r"names no image"):
        publish(make("fourth"), f"oci://{oci_registry.host}")
    with oci_serving(tmp_path / "closed", password=True) as closed, pytest.raises(StoreFailed, match=closed.host):
        publish(make("fifth"), f"oci://{closed.host}/team/tiny")


def test_a_full_store_keeps_nothing_and_is_named(tmp_path, make):
    sealed = make("first", shard=100_000)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as full:
        done = run_limited(full, sealed)
        assert f"StoreFailed: Could not write {full}/models/.work-" in done.stderr
        assert list(Path(full, "models").iterdir()) == []


def run_limited(store, sealed):
    """Publish in a process that may write no file of more than 50,000 bytes."""
    code = (
        "import resource, signal, sys\nfrom pathlib import Path\nfrom helpers.ingestion.digests import *\n"
        "from helpers.ingestion.publication import publish\nfrom helpers.ingestion.sealing import Package\n"
        "from tests.plugins.packages import shipped_policy\n"
        "folder = Path(sys.argv[1]); sums = model_files(hash_folder(folder))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (50000, 50000))\n"
        "publish(Package(folder, sums, digest_of(sums), 'x', shipped_policy()), 'file://' + sys.argv[2])\n"
    )
    command = [sys.executable, "-c", code, str(sealed.folder), str(store)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_a_download_that_was_killed_goes_on_and_stray_files_go_away(s3_bucket, make):
    sealed = make("first", shard=2_000_000)
    uri = publish(sealed, s3_bucket.uri)
    folder = verified_folder(selected(sealed, uri), shipped_policy())
    kept = (folder / SHARD).stat().st_ino
    (folder / SHARD.replace("00001-of", "00002-of")).write_bytes(b"half")
    (folder / ".config.json.part").write_text("half")
    assert verified_folder(selected(sealed, uri), shipped_policy()) == folder
    assert (folder / SHARD).stat().st_ino == kept


def test_a_registrys_image_can_be_read_by_olot(oci_registry, make, tmp_path, monkeypatch):
    from olot.backend.oras_py import oras_py_pull
    from olot.basics import crawl_ocilayout_blobs_to_extract

    monkeypatch.setenv("OCI_BASE_IMAGE", "scratch")
    sealed = make("first")
    uri = publish(sealed, f"oci://{oci_registry.host}/olot/tiny")
    oras_py_pull(uri.removeprefix("oci://"), tmp_path / "layout", insecure=True)
    crawl_ocilayout_blobs_to_extract(tmp_path / "layout", tmp_path / "image")
    assert hash_folder(tmp_path / "image" / "models") == hash_folder(sealed.folder)


def base_layer(architecture):
    """A compressed layer with what an operating system has: links, a device, a program."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for name, kind, target in (
            ("bin", tarfile.SYMTYPE, "/usr/bin"),
            ("dev/null", tarfile.CHRTYPE, ""),
            (f"usr/bin/{architecture}", tarfile.REGTYPE, ""),
            ("usr/bin/sh", tarfile.LNKTYPE, f"usr/bin/{architecture}"),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target
            archive.addfile(entry)
    return gzip.compress(output.getvalue(), mtime=0)


@pytest.fixture
def base_image(oci_registry):
    """A base for two platforms, in docker's own format, with an attestation that is no image."""
    docker = "application/vnd.docker"
    with Repository.of(f"oci://{oci_registry.host}/base", "1") as repository:

        def blob(data):
            repository.put_blob(digest_of(data), len(data), lambda: iter([data]))
            return {"digest": digest_of(data), "size": len(data)}

        def manifest(architecture):
            config = {"architecture": architecture, "os": "linux", "config": {"User": "65534"}, "history": []}
            config["rootfs"] = {"type": "layers", "diff_ids": [digest_of(base_layer(architecture))]}
            layer = {"mediaType": f"{docker}.image.rootfs.diff.tar.gzip", **blob(base_layer(architecture))}
            content = {"schemaVersion": 2, "mediaType": f"{docker}.distribution.manifest.v2+json", "layers": [layer]}
            content["config"] = {"mediaType": f"{docker}.container.image.v1+json", **blob(json.dumps(config).encode())}
            data = json.dumps(content).encode()
            repository.put_manifest(digest_of(data), data, content["mediaType"])
            return {"mediaType": content["mediaType"], "digest": digest_of(data), "size": len(data)}

        entries = [{**manifest(name), "platform": {"os": "linux", "architecture": name}} for name in ("amd64", "arm64")]
        entries.append({**entries[0], "platform": {"os": "unknown", "architecture": "unknown"}})
        kind = f"{docker}.distribution.manifest.list.v2+json"
        data = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": entries}).encode()
        repository.put_manifest("1", data, kind)
    return f"{oci_registry.host}/base:1"


def test_the_model_lies_on_top_of_the_base_image_for_every_platform(oci_registry, base_image, make, monkeypatch):
    monkeypatch.setenv("OCI_BASE_IMAGE", base_image)
    sealed = make("first")
    uri = publish(sealed, f"oci://{oci_registry.host}/based/tiny")
    with Repository.of(uri.partition("@")[0], "x") as repository:
        _, index = repository.image(uri.partition("@")[2])
        assert [item["platform"]["architecture"] for item in index["manifests"]] == ["amd64", "arm64"]
        for item in index["manifests"]:
            _, manifest = repository.image(item["digest"])
            config = json.loads(repository.small_blob(manifest["config"]["digest"]))
            assert manifest["layers"][0]["digest"] == digest_of(base_layer(item["platform"]["architecture"]))
            assert {layer["mediaType"].partition("+")[0] for layer in manifest["layers"]} == {
                "application/vnd.oci.image.layer.v1.tar"
            }
            assert len(config["rootfs"]["diff_ids"]) == len(manifest["layers"]) == len(config["history"]) + 1
            assert config["config"] == {"User": "65534"}
            assert manifest["annotations"]["org.opencontainers.image.base.name"] == base_image
            with Repository.of(f"oci://{oci_registry.host}/base", "1") as source:
                _, base = source.image(manifest["annotations"]["org.opencontainers.image.base.digest"])
            assert base["layers"][0]["digest"] == manifest["layers"][0]["digest"]
    assert verified(sealed, uri).items() >= sealed.sums.items()
    assert publish(make("second"), f"oci://{oci_registry.host}/based/tiny") == uri


def test_a_missing_base_image_is_named(oci_registry, make, monkeypatch):
    monkeypatch.setenv("OCI_BASE_IMAGE", f"{oci_registry.host}/no/such:1")
    with pytest.raises(StoreFailed, match=r"no/such:1 is not there\. Give OCI_BASE_IMAGE an image"):
        publish(make("first"), f"oci://{oci_registry.host}/without/base")


def test_a_registry_that_takes_a_password_is_pushed_to_and_pulled_from(tmp_path, make, monkeypatch):
    with oci_serving(tmp_path / "closed", password=True) as closed:
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        (tmp_path / "config.json").write_text(json.dumps({"auths": {closed.host: {"auth": login}}}))
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        monkeypatch.setenv("OCI_BASE_IMAGE", "scratch")
        sealed = make("first")
        uri = publish(sealed, f"oci://{closed.host}/team/tiny")
        assert verified(sealed, uri).items() >= sealed.sums.items()
        assert httpx.get(f"http://{closed.host}/v2/team/tiny/tags/list").status_code == 401


def test_what_is_not_there_or_was_damaged_in_the_store_is_not_served(s3_bucket, make):
    sealed = make("first")
    with pytest.raises(NotFound):
        verified(sealed, f"{(home() / 'nowhere').as_uri()}/models/x")
    uri = publish(sealed, s3_bucket.uri)
    storage.put(b"x" * 1000, f"{uri}/{SHARD}")
    with pytest.raises(DigestMismatch, match=f"{SHARD} changed"):
        verified(sealed, uri)
