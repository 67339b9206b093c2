"""The embedded registry as a process: what it acknowledged is there, whatever happens to it."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.plugins.registry import serving

PREFIX = "/api/model_registry/v1alpha3"


@contextmanager
def process(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the registry's command line and give the process and the address that it printed."""
    command = [sys.executable, "-m", "helpers.local.registry", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        try:
            line = server.stdout.readline()
            assert line.startswith("Registry ready at http://"), line + server.stdout.read()
            yield server, line.split()[-1]
        finally:
            server.kill()


def names(address: str) -> set[str]:
    return {item["name"] for item in httpx.get(f"{address}{PREFIX}/registered_models").json()["items"]}


def test_kill_9_in_the_middle_of_writes_loses_no_acknowledged_one(tmp_path):
    acknowledged: set[str] = set()
    enough = threading.Event()

    def write(worker: int, address: str) -> None:
        with httpx.Client(base_url=address + PREFIX) as http:
            for i in range(10_000):
                name = f"{worker}-{i}"
                try:
                    answer = http.post("/registered_models", json={"name": name})
                except httpx.TransportError:
                    return
                assert answer.status_code == 201
                acknowledged.add(name)
                if len(acknowledged) > 60:
                    enough.set()

    with process("--port", 0, "--database", tmp_path / "r.db") as (server, address), ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, worker, address) for worker in range(4)]
        assert enough.wait(60)
        server.send_signal(signal.SIGKILL)
        for writer in writers:
            writer.result()

    with serving(tmp_path / "r.db") as again:
        there = names(again.address)
        assert acknowledged <= there
        assert len(there - acknowledged) <= 4, "at most one write of each writer was not acknowledged any more"


def test_sigterm_ends_it_and_a_restart_has_everything(tmp_path):
    with process("--port", 0, "--database", tmp_path / "r.db") as (server, address):
        httpx.post(f"{address}{PREFIX}/registered_models", json={"name": "a"})
        server.terminate()
        assert server.wait(20) in (0, -signal.SIGTERM)
        assert server.stdout.read() == "", "nothing is logged unless something is wrong"
    with serving(tmp_path / "r.db") as again:
        assert names(again.address) == {"a"}


VERSION_1 = """
CREATE TABLE {name} (
  id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, parent INTEGER REFERENCES context(id), name TEXT NOT NULL,
  external_id TEXT UNIQUE, created INTEGER NOT NULL, updated INTEGER NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX {name}_root_name ON {name}(kind, name) WHERE parent IS NULL AND kind = 'model';
CREATE UNIQUE INDEX {name}_name ON {name}(parent, kind, name);
CREATE INDEX {name}_find ON {name}(kind, name);
"""
VERSION_1_ROWS = """
CREATE TABLE attribution (
  version INTEGER NOT NULL REFERENCES context(id), artifact INTEGER NOT NULL REFERENCES artifact(id),
  PRIMARY KEY (version, artifact)) WITHOUT ROWID;
INSERT INTO context VALUES (1, 'model', NULL, 'Llama', 'e', 5, 5, '{"state": "LIVE"}');
INSERT INTO context VALUES (2, 'model', NULL, 'llama', NULL, 6, 6, '{"state": "ARCHIVED"}');
INSERT INTO context VALUES (3, 'version', 2, '1', NULL, 7, 7, '{"state": "LIVE", "customProperties":
  {"accuracy": {"double_value": 1.0, "metadataType": "MetadataDoubleValue"}}}');
INSERT INTO artifact VALUES (1, 'model-artifact', 3, 'llama', NULL, 8, 8, '{"state": "UNKNOWN", "uri": "file:///x"}');
INSERT INTO attribution VALUES (3, 1);
"""


def test_a_database_of_version_1_is_served_also_with_two_spellings_of_one_name(tmp_path):
    database = sqlite3.connect(tmp_path / "r.db")
    database.executescript(VERSION_1.format(name="context") + VERSION_1.format(name="artifact") + VERSION_1_ROWS)
    database.close()

    for _ in range(2):
        with serving(tmp_path / "r.db") as server, httpx.Client(base_url=server.address + PREFIX) as http:
            assert names(server.address) == {"Llama", "llama"}
            found = [http.get("/registered_model", params={"name": name}).json() for name in ("Llama", "llama")]
            assert [(model["id"], model["customProperties"]) for model in found] == [("1", {}), ("2", {})]
            where = {"name": "llama", "parentResourceId": "3"}
            assert http.get("/model_artifact", params=where).json()["uri"] == "file:///x"
            assert '"double_value":1,' in http.get("/model_versions/3").text
            assert http.patch("/registered_models/1", json={"owner": "ann"}).json()["externalId"] == "e"
            assert http.post("/registered_models", json={"name": "LLAMA"}).status_code == 409


def test_of_eight_writers_of_one_name_one_wins(tmp_path):
    with serving(tmp_path / "r.db") as server:
        barrier = threading.Barrier(8)

        def create(i: int) -> list[int]:
            with httpx.Client(base_url=server.address + PREFIX) as http:
                http.get("/registered_models")
                barrier.wait(30)
                model = http.post("/registered_models", json={"name": "same", "description": str(i)}).status_code
                barrier.wait(30)
                version = {"name": "1", "registeredModelId": "1", "externalId": "x"}
                return [model, http.post("/model_versions", json=version).status_code]

        with ThreadPoolExecutor(8) as pool:
            models, versions = zip(*pool.map(create, range(8)), strict=True)
    assert sorted(models) == sorted(versions) == [201] + [409] * 7


def test_timestamps_strictly_grow_also_over_a_restart_and_a_clock_that_was_set_back(tmp_path, monkeypatch):
    from helpers.local.registry import store

    stamps: list[int] = []

    def touch(http: httpx.Client) -> None:
        answer = http.patch("/registered_models/1", json={"owner": "o"}).json()
        stamps.append(int(answer["lastUpdateTimeSinceEpoch"]))

    for clock_back in (False, True):
        with serving(tmp_path / "r.db") as server, httpx.Client(base_url=server.address + PREFIX) as http:
            if clock_back:
                monkeypatch.setattr(store.time, "time_ns", lambda: 0)
            http.post("/registered_models", json={"name": "a"})
            for _ in range(10):
                touch(http)
    assert stamps == sorted(set(stamps))
    assert len(stamps) == 20


def test_the_token_comes_from_a_file_without_its_newline(tmp_path):
    token_file = tmp_path / "token"
    token_file.write_text("secret\n")
    with process("--port", 0, "--database", tmp_path / "r.db", "--token-file", token_file) as (_, address):
        models = f"{address}{PREFIX}/registered_models"
        assert httpx.get(models, headers={"Authorization": "Bearer secret"}).status_code == 200
        assert httpx.get(models, headers={"Authorization": "Bearer secre"}).status_code == 401
        assert httpx.get(f"{address}/readyz/health").status_code == 200


def refused(*arguments: str | Path) -> str:
    command = [sys.executable, "-m", "helpers.local.registry", *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_what_cannot_be_served_is_said_in_one_line(tmp_path):
    not_a_database = tmp_path / "text.db"
    not_a_database.write_text("This is text. " * 100)
    with serving(tmp_path / "r.db") as server:
        port = server.address.rsplit(":")[-1]
        assert f"port {port}" in refused("--port", port, "--database", tmp_path / "s.db")
    assert "text.db" in refused("--port", 0, "--database", not_a_database)
    assert "text.db" in refused("--port", 0, "--database", not_a_database / "r.db")
    assert "no-token" in refused("--port", 0, "--database", tmp_path / "s.db", "--token-file", tmp_path / "no-token")
