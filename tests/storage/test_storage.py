import hashlib
import os
import resource
import subprocess
import sys

import boto3
import pytest

from helpers import storage
from helpers.errors import InvalidParameter, NotFound, StoreFailed, StoreUnreachable
from helpers.storage import checksums
from tests.plugins.certificates import make_certificates
from tests.plugins.stores import KEYS, running


def test_what_is_put_is_got_listed_and_found(tmp_path):
    uri = f"{tmp_path.as_uri()}/a b/c.bin"
    storage.put(b"data", uri)
    assert storage.get(uri) == b"data"
    assert storage.exists(uri)
    assert storage.listing(tmp_path.as_uri()) == ["a b/c.bin"]


def test_a_file_is_put_whole(tmp_path):
    source = tmp_path / "source"
    source.write_bytes(os.urandom(3_000_000))
    uri = storage.put(source, f"{tmp_path.as_uri()}/store/copy")
    assert storage.get(uri) == source.read_bytes()


@pytest.mark.parametrize("size", [storage.PART + 1, 2 * storage.PART])
def test_a_store_keeps_the_checksum_of_a_files_parts(s3_bucket, tmp_path, size):
    (tmp_path / "file").write_bytes(b"a" * size)
    uri = storage.put(tmp_path / "file", f"{s3_bucket.uri}/a b/c+d", checked=True)
    assert checksums.kept(uri) == checksums.of_parts(tmp_path / "file")
    assert checksums.kept(storage.put(tmp_path / "file", f"{s3_bucket.uri}/other")) == ""


def test_a_store_that_tells_no_checksum_is_no_error(s3_bucket, monkeypatch):
    assert checksums.kept(f"{s3_bucket.uri}/nothing") == ""
    monkeypatch.setenv("STORE_AWS_ENDPOINT", "http://127.0.0.1:9")
    assert checksums.kept(f"{s3_bucket.uri}/nothing") == ""
    monkeypatch.setenv("STORE_AWS_ENDPOINT", "http://127.0.0.1:9/below/a/path")
    assert checksums.kept(f"{s3_bucket.uri}/nothing") == ""


def test_what_is_not_there_is_said_with_its_address(tmp_path):
    uri = f"{tmp_path.as_uri()}/no/such"
    assert not storage.exists(uri)
    for call in (storage.get, storage.listing, lambda uri: storage.fetch(uri, tmp_path)):
        with pytest.raises(NotFound, match="no/such is not in the store"):
            call(uri)


def test_only_known_stores_are_taken():
    with pytest.raises(InvalidParameter, match="ftp://x"):
        storage.resolve("ftp://x")
    assert storage.resolve("local").startswith("file:///")
    assert storage.resolve("s3://b/p/") == "s3://b/p"


def test_an_unreachable_store_is_named(monkeypatch, hurried):
    monkeypatch.setenv("STORE_AWS_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("STORE_AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("STORE_AWS_SECRET_ACCESS_KEY", "hidden-value")
    monkeypatch.setenv("STORE_AWS_REGION", "us-east-1")
    with pytest.raises(StoreUnreachable, match="s3://bucket/x") as caught:
        storage.put(b"", "s3://bucket/x")
    assert "hidden-value" not in str(caught.value)


def test_a_full_disk_leaves_no_half_written_object(tmp_path):
    code = (
        "import resource, signal, sys; from helpers import storage\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "storage.put(b'x' * 5000, sys.argv[1])"
    )
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000
    uri = f"{tmp_path.as_uri()}/big"
    done = subprocess.run([sys.executable, "-c", code, uri], capture_output=True, text=True, timeout=60)
    assert "StoreFailed: Could not write" in done.stderr
    assert not storage.exists(uri)
    assert issubclass(StoreFailed, Exception)


def test_auto_is_the_buckets_assay_folder_or_this_machines_store(monkeypatch):
    assert storage.resolve("auto") == storage.resolve("local")
    monkeypatch.setenv("STORE_AWS_BUCKET", "results")
    assert storage.resolve("auto") == "s3://results/assay"


def test_a_pod_without_the_data_connection_says_which_key_of_which_secret_is_missing(monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    with pytest.raises(InvalidParameter, match="the Secret assay-store lacks the key AWS_S3_BUCKET"):
        storage.resolve("auto")
    monkeypatch.setenv("STORE_AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "that of the pipeline server's bucket")
    with pytest.raises(InvalidParameter, match="STORE_AWS_SECRET_ACCESS_KEY: the Secret assay-store lacks"):
        storage.put(b"", "s3://results/assay/x")


def test_a_store_with_a_private_certificate_is_trusted_by_its_authority(monkeypatch, tmp_path):
    certificates = make_certificates(tmp_path)
    options = ["-s", "-c", tmp_path / "leaf.pem", "-k", tmp_path / "leaf.key"]
    command = [sys.executable, "-m", "moto.server", "-p", "0", *map(str, options)]
    with running(command, tmp_path / "log", r"Running on https://127\.0\.0\.1:(\d+)", PYTHONUNBUFFERED="1") as port:
        for key, value in {**KEYS, "ENDPOINT": f"127.0.0.1:{port}", "BUCKET": "results"}.items():
            monkeypatch.setenv(f"STORE_AWS_{key}", value)
        with pytest.raises(StoreUnreachable, match=r"certificate is not trusted\. Name .* in AWS_CA_BUNDLE"):
            storage.listing("s3://results")
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates.authority))
        with pytest.raises(NotFound):  # no such bucket: the store was asked
            storage.get("s3://results/assay/x")
        named = zip(("aws_access_key_id", "aws_secret_access_key", "region_name"), KEYS.values(), strict=True)
        address, trusted = f"https://127.0.0.1:{port}", str(certificates.authority)
        s3 = boto3.client("s3", endpoint_url=address, verify=trusted, **dict(named))
        s3.create_bucket(Bucket="results")
        s3.put_object(Bucket="results", Key="x", Body=b"x", ChecksumAlgorithm="SHA256")
        assert checksums.kept("s3://results/x") == hashlib.sha256(b"x").hexdigest()
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "absent.pem"))
        with pytest.raises(InvalidParameter, match=r"AWS_CA_BUNDLE names .*absent\.pem, which is not there"):
            storage.listing("s3://results")
