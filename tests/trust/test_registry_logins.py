"""A registry gets the login of another one nowhere: by a realm, a redirect or an upload's place."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from helpers.errors import AssayError, InvalidInput, SourceUnreachable, StoreFailed
from helpers.ingestion.oci import Reference, Registry
from helpers.ingestion.oci.registry import _belongs
from helpers.ingestion.policy import load_policy
from helpers.ingestion.publication.repository import Repository
from helpers.runtime.workspace import ROOT
from helpers.serving.files import verified
from tests.plugins.records import a_selection

LOGIN = base64.b64encode(b"reader:canary-password").decode()


class Answers(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def any(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.command, self.path, self.headers.get("Authorization", "")))
        status, headers = self.server.answer(self.command, self.path, self.headers.get("Authorization", ""))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_POST = do_PUT = any


@contextmanager
def answering():
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.seen, server.port = [], server.server_address[1]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def evil():
    """A server under another name, which asks for a login in every way."""
    with answering() as server:
        server.url = f"http://localhost:{server.port}"
        server.answer = lambda *_: (401, {"WWW-Authenticate": 'Basic realm="mine"'})
        yield server


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """The registry that the login is for."""
    with answering() as server:
        host = f"127.0.0.1:{server.port}"
        (tmp_path / "config.json").write_text(json.dumps({"auths": {host: {"auth": LOGIN}}}))
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        server.reference = Reference(host, "team/model", "v1")
        yield server


def told(server):
    return [login for _, _, login in server.seen if login]


def test_a_realm_elsewhere_gets_no_login(registry, evil):
    registry.answer = lambda *_: (401, {"WWW-Authenticate": f'Bearer realm="{evil.url}/token",service="x"'})
    with Registry(registry.reference) as client, pytest.raises(SourceUnreachable, match="login"):
        client.manifest("v1")
    assert evil.seen == []
    with Repository(registry.reference) as client, pytest.raises(StoreFailed, match="login"):
        client.has_blob("sha256:" + "a" * 64)
    assert evil.seen == []


@pytest.mark.parametrize("how", ['Basic realm="mine"', 'Bearer realm="EVIL/token"', 'Bearer realm="OWN/token"'])
def test_who_is_redirected_to_gets_no_login(how, registry, evil):
    own = f"http://127.0.0.1:{registry.port}"
    challenge = how.replace("EVIL", evil.url).replace("OWN", own)
    evil.answer = lambda *_: (401, {"WWW-Authenticate": challenge})
    registry.answer = lambda *_: (307, {"Location": f"{evil.url}/blob"})
    with Registry(registry.reference) as client, pytest.raises(AssayError):
        client.manifest("v1")
    assert evil.seen
    assert told(evil) == told(registry) == []


def test_an_upload_that_goes_on_elsewhere_goes_without_the_login(registry, evil):
    data = b"a blob"
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"

    def answer(method, path, login):
        if not login:
            return 401, {"WWW-Authenticate": 'Basic realm="own"'}
        return (202, {"Location": f"{evil.url}/upload"}) if method == "POST" else (404, {})

    registry.answer = answer
    with Repository(registry.reference) as client, pytest.raises(StoreFailed):
        client.put_blob(digest, len(data), lambda: iter([data]))
    assert set(told(registry)) == {f"Basic {LOGIN}"}
    assert [method for method, _, _ in evil.seen] == ["PUT"]
    assert told(evil) == []


@pytest.mark.parametrize(
    ("realm", "registry", "belongs"),
    [
        ("https://auth.docker.io/token", "https://registry-1.docker.io/v2/a", True),
        ("https://quay.io/v2/auth", "https://quay.io/v2/a", True),
        ("https://gitlab.com/jwt/auth", "https://registry.gitlab.com/v2/a", True),
        ("https://registry.example.com:8443/auth", "https://registry.example.com/v2/a", True),
        ("http://quay.io/v2/auth", "https://quay.io/v2/a", False),
        ("https://quay.io.evil.example/auth", "https://quay.io/v2/a", False),
        ("https://evilquay.io/auth", "https://quay.io/v2/a", False),
        ("https://evil.io/auth", "https://quay.io/v2/a", False),
        ("https://quay.io@evil.example/auth", "https://quay.io/v2/a", False),
        ("https://evil.example/quay.io", "https://quay.io/v2/a", False),
        ("https://10.0.0.2/auth", "https://10.0.0.1/v2/a", False),
        ("http://169.254.169.254/latest", "http://127.0.0.1:5000/v2/a", False),
        ("//evil.example/auth", "https://quay.io/v2/a", False),
        ("https://quay.io:99999999/auth", "https://quay.io/v2/a", False),
    ],
)
def test_where_a_login_may_be(realm, registry, belongs):
    assert _belongs(realm, registry) is belongs


def test_an_image_of_a_registry_that_is_not_allowed_is_not_deployed(registry):
    uri = f"oci://{registry.reference.host}/team/model@sha256:{'a' * 64}"
    with pytest.raises(InvalidInput, match="does not allow"):
        verified(a_selection(uri=uri), load_policy(ROOT / "pipelines" / "policy.yaml"))
    assert registry.seen == []
