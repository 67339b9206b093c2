"""The bucket of a node's run: what may pass is waited for, what is refused is told at once."""

from __future__ import annotations

import functools
import ssl
import threading

import pytest

from helpers.errors import ArtifactMissing, StoreFailed, StoreUnreachable
from helpers.pipelines.pod.store import Store, may_pass
from tests.pipelines.pod.conftest import store_of
from tests.plugins.certificates import make_certificates
from tests.plugins.stores import Bucket

pytestmark = pytest.mark.usefixtures("quickly")


def test_it_is_asked_again_until_it_answers(store, monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    from urllib3.exceptions import MaxRetryError

    answers = iter([MaxRetryError(None, "/", "refused"), MaxRetryError(None, "/", "refused"), b"here"])

    def ask():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert store.ask(ask, "a file") == b"here"
    assert not store.gave_up


def test_after_two_minutes_it_is_asked_once_for_all_that_is_left(monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    store = store_of(Bucket("http://127.0.0.1:9", "bucket"))
    asked = []

    def ask(key):
        asked.append(key)
        return store.client.stat_object("bucket", key)

    with pytest.raises(StoreUnreachable, match=r"first in bucket bucket"):
        store.ask(functools.partial(ask, "first"), "first")
    assert asked.count("first") > 2
    with pytest.raises(StoreUnreachable):
        store.ask(functools.partial(ask, "second"), "second")
    assert asked.count("second") == 1
    assert store.ask(lambda: "here", "third") == "here"
    with pytest.raises(StoreUnreachable):
        store.ask(functools.partial(ask, "fourth"), "fourth")
    assert asked.count("fourth") > 2, "it had come back while the stage worked, and has its time again"


def test_what_is_not_there_is_told_at_once(store):
    asked = []
    with pytest.raises(ArtifactMissing, match=r"artifacts/x\.json"):
        store.ask(lambda: (asked.append(1), store.client.stat_object(store.bucket, "x")), "artifacts/x.json")
    assert len(asked) == 1


def test_a_bucket_that_is_not_there_is_a_refusal(store):
    with pytest.raises(StoreFailed, match="NoSuchBucket"):
        store.ask(lambda: list(store.client.list_objects("not-there")), "x")


def test_a_certificate_that_is_not_trusted_is_called_that_at_once(tmp_path):
    from minio import Minio
    from urllib3 import PoolManager

    address, end = answering(200, b"", "text/plain", make_certificates(tmp_path).server)
    client = Minio(
        endpoint=address.partition("//")[2], access_key="k", secret_key="s", region="us-east-1",
        http_client=PoolManager(retries=False),
    )  # fmt: skip
    asked = []
    try:
        with pytest.raises(StoreUnreachable, match=r"certificate of the store at .* is not trusted.*cABundle"):
            Store(client, "store", "bucket").ask(lambda: (asked.append(1), client.get_object("bucket", "key")), "key")
    finally:
        end()
    assert len(asked) == 1


def answering(status, body, kind, certificate=None):
    """The address of a server that answers everything so, and the function that ends it."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *about):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}", lambda: (server.shutdown(), server.server_close())


XML = "<Error><Code>{}</Code><Message>no</Message></Error>"


@pytest.mark.parametrize(
    ("status", "body", "kind", "passes"),
    [
        (503, XML.format("SlowDown"), "application/xml", True),
        (500, XML.format("InternalError"), "application/xml", True),
        (502, "<html>Bad Gateway</html>", "text/html", True),
        (504, "<html>Gateway Time-out</html>", "text/html", True),
        (403, XML.format("AccessDenied"), "application/xml", False),
        (403, XML.format("InvalidAccessKeyId"), "application/xml", False),
        (404, XML.format("NoSuchBucket"), "application/xml", False),
        (404, "<html>no such route</html>", "text/html", False),
    ],
)
def test_which_answers_may_pass(status, body, kind, passes):
    address, end = answering(status, body.encode(), kind)
    try:
        with pytest.raises(Exception) as caught:  # noqa: PT011, it is the client's own
            store_of(Bucket(address, "bucket")).client.get_object("bucket", "key")
    finally:
        end()
    assert may_pass(caught.value) is passes
