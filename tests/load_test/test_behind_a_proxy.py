"""An endpoint as OpenShift AI protects it: TLS by the cluster's own authority, and the pod's token on every request."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from helpers.artifacts import Endpoint, Hardware, now
from helpers.errors import EndpointUnreachable
from helpers.load_test import Settings, sweep
from helpers.runtime import account

pytestmark = pytest.mark.load
SHORT = Settings(profile="concurrent", streams=(1,), scale=16 / 256, max_seconds=20, min_requests=4, warmup=1)
TOKEN = "canary-token-of-the-account"


def carry(source, target, seen):
    with suppress(OSError):
        while data := source.recv(65536):
            seen.append(data)
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


@pytest.fixture
def protected(mock_server, tmp_path, monkeypatch):
    """The address of a TLS proxy before the server, and what clients sent through it."""
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    key, certificate = tmp_path / "tls.key", tmp_path / "service-ca.crt"
    subprocess.run(
        ["openssl", *command.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    monkeypatch.setattr(account, "FOLDER", tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    target, seen = urlsplit(mock_server.url), []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(raw):
        with suppress(OSError), raw:  # a client that goes away, or is silent, while it shakes hands holds up no other
            near = context.wrap_socket(raw, server_side=True)
            far = socket.create_connection((target.hostname, target.port))
            threading.Thread(target=carry, args=(far, near, []), daemon=True).start()
            carry(near, far, seen)

    def accept():
        with suppress(OSError):
            while True:
                raw, _ = listener.accept()
                threading.Thread(target=serve, args=(raw,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield f"https://127.0.0.1:{listener.getsockname()[1]}", seen
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def endpoint(url, tokenizer, **more):
    return Endpoint(
        target="existing", url=url, model="mock", tokenizer=str(tokenizer), max_model_len=512, engine_version="1",
        hardware=Hardware(type="cpu", count=2), digest="unknown", digest_verified=False, started=now(), **more,
    )  # fmt: skip


def test_a_sweep_shows_the_token_and_trusts_the_clusters_certificates(protected, tokenizer, tmp_path):
    url, seen = protected
    result = sweep(SHORT, endpoint(url, tokenizer, auth="service-account"), tmp_path / "artifacts")
    assert result.points[0].successful > 0
    asked = [data for data in seen if data.startswith((b"GET ", b"POST "))]
    assert asked
    assert all(f"authorization: bearer {TOKEN}".encode() in data.lower() for data in asked)
    written = b"".join(path.read_bytes() for path in (tmp_path / "artifacts").rglob("*") if path.is_file())
    assert TOKEN.encode() not in written


def test_without_the_clusters_certificates_nothing_is_sent(protected, tokenizer, tmp_path):
    url, seen = protected
    with pytest.raises(EndpointUnreachable):
        sweep(SHORT, endpoint(url, tokenizer), tmp_path / "artifacts")
    assert seen == []
