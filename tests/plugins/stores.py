"""Real servers on this machine: moto as S3 and Debian's docker-registry; the hub's stand-in is in hub.py."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from helpers.runtime.polling import wait_for
from helpers.runtime.workspace import ROOT

KEYS = {"ACCESS_KEY_ID": "test-access-key", "SECRET_ACCESS_KEY": "test-secret-key", "REGION": "us-east-1"}
# The registry takes passwords only as bcrypt.
USER, PASSWORD = "reader", "a-test-password"
HTPASSWD = f"{USER}:$2b$04$qAcmkQRX2InrJ4znhu3OdO0/6Uf5NBha.bDB0t7H2Y02p33On2icu\n"
NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Bucket:
    """A bucket of its own in a running S3 server."""

    endpoint: str
    name: str

    @property
    def uri(self) -> str:
        return f"s3://{self.name}"

    def put(self, key: str, data: bytes) -> None:
        """Write an object under any key, also one that a careful client would refuse."""
        _s3(self.endpoint).put_object(Bucket=self.name, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        return _s3(self.endpoint).get_object(Bucket=self.name, Key=key)["Body"].read()

    def keys(self) -> list[str]:
        pages = _s3(self.endpoint).get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]


@dataclass(frozen=True)
class OciRegistry:
    """A running registry: host and port, and the folder in which it keeps everything."""

    host: str
    storage: Path

    @property
    def uri(self) -> str:
        return f"oci://{self.host}"

    def blob(self, digest: str) -> Path:
        """Where the registry keeps a blob, for a test that damages it."""
        value = digest.removeprefix("sha256:")
        return self.storage / "docker/registry/v2/blobs/sha256" / value[:2] / value / "data"


@contextmanager
def running(command: list[str], log: Path, listening: str, **environment: str) -> Iterator[int]:
    """Run a server that chooses its port until the block ends; `listening` finds the port in its log."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=os.environ | environment, start_new_session=True
        )

    def port() -> int | None:
        text = log.read_text("utf-8", "replace")
        assert process.poll() is None, f"{command[0]} ended: {text[-2000:]}"
        found = re.search(listening, text)
        return int(found[1]) if found else None

    try:
        yield wait_for(port, what=f"{command[0]}", do=f"Read {log}", timeout=60, interval=0.05)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)


def registry_binary() -> str:
    """The registry's program; the tests that need it fail without it."""
    known = ROOT / ".tools" / "docker-registry"
    found = str(known) if known.exists() else shutil.which("docker-registry")
    assert found, "docker-registry is missing: run make .tools/docker-registry, or install Debian's docker-registry"
    return found


@contextmanager
def oci_serving(folder: Path, *, password: bool = False) -> Iterator[OciRegistry]:
    """Run a registry with its own storage below `folder`; with `password`, USER and PASSWORD are asked for."""
    storage, config = folder / "storage", folder / "config.yml"
    storage.mkdir(parents=True)
    lines = ["version: 0.1", "log: {level: info}", f"storage: {{filesystem: {{rootdirectory: {storage}}}}}"]
    lines.append("http: {addr: 127.0.0.1:0}")
    if password:
        (folder / "htpasswd").write_text(HTPASSWD)
        lines.append(f"auth: {{htpasswd: {{realm: tests, path: {folder / 'htpasswd'}}}}}")
    config.write_text("\n".join(lines) + "\n")
    command = [registry_binary(), "serve", str(config)]
    with running(command, folder / "log", r"listening on 127\.0\.0\.1:(\d+)", OTEL_TRACES_EXPORTER="none") as port:
        yield OciRegistry(f"127.0.0.1:{port}", storage)


@pytest.fixture(scope="session")
def oci_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OciRegistry]:
    """A real OCI registry on this machine, shared by the tests: each takes repositories of its own."""
    with oci_serving(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an S3 server on this machine, shared by the tests: each takes a bucket of its own."""
    log = tmp_path_factory.mktemp("s3") / "log"
    command = [sys.executable, "-m", "moto.server", "-p", "0"]
    with running(command, log, r"Running on http://127\.0\.0\.1:(\d+)", PYTHONUNBUFFERED="1") as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def s3_bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A fresh bucket; the store's credentials in the environment lead to it."""
    for key, value in {**KEYS, "ENDPOINT": s3_server}.items():
        monkeypatch.setenv(f"STORE_AWS_{key}", value)
    return new_bucket(s3_server)


def new_bucket(endpoint: str) -> Bucket:
    """Make a bucket that no other test has."""
    bucket = Bucket(endpoint, f"bucket-{os.getpid()}-{next(NUMBERS)}")
    _s3(endpoint).create_bucket(Bucket=bucket.name)
    return bucket


def _s3(endpoint: str):
    import boto3

    names = ("aws_access_key_id", "aws_secret_access_key", "region_name")
    return boto3.client("s3", endpoint_url=endpoint, **dict(zip(names, KEYS.values(), strict=True)))


@dataclass
class Throttle:
    """What passed a slow line so far, and where the line begins."""

    rate: float
    broken_after: float
    address: str = ""
    sent: int = 0
    breaks: int = 0
    ended: threading.Event = field(default_factory=threading.Event)


@contextmanager
def throttled(upstream: str, rate: float, *, broken_after: float = float("inf")) -> Iterator[Throttle]:
    """Yield a line to `upstream` (host:port) that carries `rate` bytes per second and counts those that come back.

    Every connection breaks after `broken_after` bytes.
    """
    host, _, port = upstream.rpartition(":")
    line = Throttle(rate, broken_after)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        line.address = f"127.0.0.1:{listener.getsockname()[1]}"

        def accept() -> None:
            with suppress(OSError):
                while True:
                    near, _ = listener.accept()
                    far = socket.create_connection((host, int(port)))
                    for one, other, counted in ((near, far, False), (far, near, True)):
                        threading.Thread(target=_carry, args=(one, other, line, counted), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield line
        finally:
            line.ended.set()
            listener.shutdown(socket.SHUT_RDWR)


def _carry(source: socket.socket, target: socket.socket, line: Throttle, counted: bool) -> None:
    passed = 0
    try:
        while passed <= line.broken_after and not line.ended.is_set() and (data := source.recv(16384)):
            target.sendall(data)
            if counted:
                passed += len(data)
                line.sent += len(data)
                time.sleep(len(data) / line.rate)
    except OSError:
        pass
    line.breaks += passed > line.broken_after
    for end in (source, target):  # closing alone would wait for the other thread, which is reading
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
