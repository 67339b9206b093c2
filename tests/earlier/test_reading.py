"""The short way to the attached records says the same as the platform's client, and gives its token to nobody else."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from helpers.errors import RegistryUnreachable
from helpers.registry import connect, reading
from helpers.registry.reading import read_records


@contextmanager
def answering(status, body=b"", **headers):
    """A server that gives everybody the same answer; yields its address and what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            asked.append(dict(self.headers))
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


def test_it_reads_what_the_client_reads_over_several_pages(registry_server, monkeypatch):
    monkeypatch.setattr(reading, "PAGE_SIZE", 2)
    registry = connect(registry_server.address)
    version = registry.register_candidate("m", "1", uri="file:///m", digest="sha256:" + "a" * 64, size_bytes=1)
    for number in range(5):
        summary = {"purpose": "baseline", "accuracy": number / 10, "sweep_identity": f"same-{number}"}
        registry.attach_record(version.model_version_id, f"{number:016x}", f"file:///{number}", summary)
    registry.set_approval(version.model_version_id, "approved", ["good"])  # a document too, and no record
    found, wanted = read_records(registry_server.address), registry.records()
    assert [(entry.record_id, entry.uri) for entry in found] == [(item.record_id, item.uri) for item in wanted]
    for entry, item in zip(found, wanted, strict=True):
        assert item.summary.items() <= entry.summary.items()


def test_a_log_in_page_is_not_followed_and_gets_no_token(monkeypatch):
    monkeypatch.setenv("REGISTRY_TOKEN", "sesame")
    with answering(200, b'{"items": []}') as (elsewhere, asked_there), answering(302, Location=elsewhere) as (first, _):
        with pytest.raises(RegistryUnreachable, match="HTTP 302"):
            read_records(first)
        assert asked_there == []


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, b"<html>", "is no model registry"),
        (200, b"[]", "is no model registry"),
        (200, b'{"items": 7}', "is no model registry"),
        (503, b"", "HTTP 503"),
    ],
)
def test_what_is_no_registry_is_named(status, body, told):
    with answering(status, body) as (address, _), pytest.raises(RegistryUnreachable, match=told):
        read_records(address)
