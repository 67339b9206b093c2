"""What others on this machine, and web pages that are open on it, get from the embedded registry: nothing."""

from __future__ import annotations

import json
import socket
import stat
from urllib.parse import urlsplit

import httpx
import pytest

from helpers.local import stack
from helpers.local.registry.bodies import PACKET
from helpers.registry import connect
from helpers.registry.address import token_for

MODELS = "/api/model_registry/v1alpha3/registered_models"


def names(address, headers):
    return [item["name"] for item in httpx.get(f"{address}{MODELS}", headers=headers).json()["items"]]


@pytest.fixture
def started(tmp_path, monkeypatch):
    """The registry as `make up` starts it."""
    for name in ("REGISTRY_TOKEN", "REGISTRY_TOKEN_FILE", "REGISTRY_ADDRESS_LOCAL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    yield stack.up()
    stack.down()


def test_the_registry_of_this_machine_asks_for_a_token_that_only_its_owner_can_read(started, tmp_path, monkeypatch):
    file = tmp_path / "home" / "registry.token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for headers in ({}, {"Authorization": "Bearer"}, {"Authorization": "Bearer guessed"}):
        assert httpx.get(f"{started}{MODELS}", headers=headers).status_code == 401
        assert httpx.post(f"{started}{MODELS}", headers=headers, json={"name": "mine"}).status_code == 401
    assert connect("local").versions() == []
    monkeypatch.setenv("REGISTRY_TOKEN", "of-the-cluster")
    assert connect("local").versions() == [], "the cluster's token is not this registry's"
    assert token_for("http://127.0.0.1:1") == "of-the-cluster"
    monkeypatch.delenv("REGISTRY_TOKEN")
    assert token_for("http://127.0.0.1:1") == "", "it goes nowhere else"
    log = (tmp_path / "home" / "logs" / "registry.log").read_text()
    assert file.read_text() not in log


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8085"},
        {"Host": "evil.example"},
        {"Host": "evil.example:8085"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": ""},
    ],
    ids=str,
)
def test_what_comes_from_a_page_is_refused(headers, registry_server):
    address = registry_server.address
    assert httpx.get(f"{address}{MODELS}", headers=headers).status_code in (400, 403, 421)
    assert httpx.post(f"{address}{MODELS}", headers=headers, json={"name": "mine"}).status_code in (400, 403, 421)
    assert httpx.options(f"{address}{MODELS}", headers=headers).status_code in (400, 403, 421)
    assert names(address, {}) == []
    port = urlsplit(address).port
    assert names(address, {"Host": f"localhost:{port}"}) == []


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/jsonp"]
)
def test_only_json_is_a_body(kind, registry_server):
    body = json.dumps({"name": "mine"})
    answer = httpx.post(f"{registry_server.address}{MODELS}", headers={"Content-Type": kind}, content=body)
    assert answer.status_code == 415
    assert names(registry_server.address, {}) == []
    said = httpx.post(
        f"{registry_server.address}{MODELS}", headers={"Content-Type": "application/json; charset=utf-8"}, content=body
    )
    assert said.status_code == 201


def test_a_body_without_end_is_not_read_to_its_end(registry_server):
    head = f"POST {MODELS} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", urlsplit(registry_server.address).port), timeout=60) as line:
        line.sendall(f"{head}Content-Length: {1 << 40}\r\n\r\n".encode())
        line.sendall(b" " * (PACKET + 1))
        assert line.recv(100).startswith(b"HTTP/1.1 500")
    assert names(registry_server.address, {}) == []
