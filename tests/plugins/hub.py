"""A stand-in for a hub, because none can be reached from where the tests run.

It speaks the two endpoints of Hugging Face's hub that a download needs, with their headers, error codes, ranges and
the redirect of large files to another host, which announces xet besides. It was written after the hub's public
documentation and huggingface_hub's own requests. What it cannot show: rate limits, the real content network's habits,
a repository that changes while it is read, and xet itself.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

LARGE = 10_000  # bytes from which on a file is in large file storage here


class Request(NamedTuple):
    """One request that came in."""

    method: str
    path: str
    range: str
    authorization: str


@dataclass
class Repository:
    """Commits with their files, and the names that lead to them."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    private: bool = False
    gated: bool = False


@dataclass
class Hub:
    """What the hub holds, how it misbehaves, and what it was asked."""

    address: str = ""
    storage: str = ""
    token: str = "hf_" + "t" * 34
    repositories: dict[str, Repository] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)  # statuses that the next requests get instead of an answer
    served: dict[str, bytes] = field(default_factory=dict)  # what is sent for a file instead of its content
    stated: dict[str, dict] = field(default_factory=dict)  # what is said of a file instead of the truth
    renamed: dict[str, str] = field(default_factory=dict)
    endless: bool = False
    ranges: bool = True
    rate: float = 0  # bytes per second, 0 for as fast as it goes
    piece: int = 16384
    sent: int = 0  # bytes of files

    def add(self, name: str, files: dict[str, bytes], *revisions: str, **more) -> str:
        """Commit files under a repository's name and `main` besides other revisions; return the commit."""
        repository = self.repositories.setdefault(name, Repository(**more))
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        repository.commits[commit] = files
        repository.names.update(dict.fromkeys((*revisions, "main"), commit))
        return commit


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_) -> None:
        """Keep the tests' output clean."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        url, headers = urlsplit(self.path), self.headers
        asked = Request(self.command, self.path, headers.get("Range", ""), headers.get("Authorization", ""))
        self.hub.requests.append(asked)
        if self.hub.failures and (status := self.hub.failures.pop(0)):
            return self._send(status, b"a bad moment")
        if stored := re.fullmatch(r"/storage/(\w+)", url.path):
            return self._stored(stored[1], asked, parse_qs(url.query))
        if described := re.fullmatch(r"/api/models/(.+)/revision/([^/]+)", url.path):
            return self._describe(described[1], unquote(described[2]), "blobs" in parse_qs(url.query))
        if file := re.fullmatch(r"/(.+?)/resolve/([^/]+)/(.+)", url.path):
            return self._resolve(file[1], unquote(file[2]), unquote(file[3]))
        return self._send(404, b"", **{"X-Error-Code": "RepoNotFound"})

    def _commit(self, name: str, revision: str) -> str:
        """Return the commit, or answer why there is none."""
        repository = self.hub.repositories.get(name)
        known = self.headers.get("Authorization") == f"Bearer {self.hub.token}"
        if not repository or (repository.private and not known):
            self._send(404 if known else 401, b"", **{"X-Error-Code": "RepoNotFound"})
        elif repository.gated and not known:
            self._send(401, b"", **{"X-Error-Code": "GatedRepo"})
        elif not (commit := revision if revision in repository.commits else repository.names.get(revision, "")):
            self._send(404, b"", **{"X-Error-Code": "RevisionNotFound"})
        else:
            return commit
        return ""

    def _describe(self, name: str, revision: str, blobs: bool) -> None:
        if new := self.hub.renamed.get(name):
            return self._send(307, b"", Location=self.path.replace(name, new))
        if not (commit := self._commit(name, revision)):
            return None
        files = self.hub.repositories[name].commits[commit]
        siblings = [self._sibling(file, files[file]) if blobs else {"rfilename": file} for file in files]
        about = {"_id": "1", "id": name, "modelId": name, "sha": commit, "private": False, "siblings": siblings}
        return self._send(200, json.dumps(about).encode(), **{"Content-Type": "application/json"})

    def _sibling(self, name: str, data: bytes) -> dict:
        known = {"rfilename": name, "size": len(data), "blobId": git_blob(data)}
        if len(data) >= LARGE:
            known["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
        return known | self.hub.stated.get(name, {})

    def _resolve(self, name: str, revision: str, file: str) -> None:
        if not (commit := self._commit(name, revision)):
            return None
        data = self.hub.repositories[name].commits[commit].get(file)
        if data is None:
            return self._send(404, b"", **{"X-Error-Code": "EntryNotFound"})
        if len(data) < LARGE:
            etag = f'"{git_blob(data)}"'
            return self._file(self.hub.served.get(file, data), **{"X-Repo-Commit": commit, "ETag": etag})
        value = hashlib.sha256(data).hexdigest()
        linked = {"X-Linked-Size": str(len(data)), "X-Linked-Etag": f'"{value}"', "X-Xet-Hash": value}
        place = f"{self.hub.storage}/storage/{value}?name={file}&Signature=signed-address"
        return self._send(302, b"", Location=place, **linked, **{"X-Repo-Commit": commit})

    def _stored(self, value: str, asked: Request, query: dict) -> None:
        assert not asked.authorization, "the token was sent to the storage's host"
        if "signed-address" not in query.get("Signature", []):
            return self._send(403, b"")
        everything = [
            data
            for item in self.hub.repositories.values()
            for files in item.commits.values()
            for data in files.values()
        ]
        data = next(data for data in everything if hashlib.sha256(data).hexdigest() == value)
        return self._file(self.hub.served.get(query["name"][0], data), ETag=f'"{value}"')

    def _file(self, data: bytes, **headers: str) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if self.hub.ranges else None
        start = int(wanted[1]) if wanted else 0
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._send(206 if wanted else 200, data[start:], file=True, **headers)

    def _send(self, status: int, data: bytes, *, file: bool = False, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        endless = file and self.hub.endless
        if endless:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            self._pieces(data, file)
            while endless:
                self._pieces(bytes(self.hub.piece), file)
        except OSError:
            self.close_connection = True

    def _pieces(self, data: bytes, file: bool) -> None:
        for start in range(0, len(data), self.hub.piece):
            piece = data[start : start + self.hub.piece]
            self.wfile.write(piece)
            if file:
                self.hub.sent += len(piece)
                time.sleep(len(piece) / self.hub.rate if self.hub.rate else 0)


def git_blob(data: bytes) -> str:
    """The identity that git gives a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@pytest.fixture
def hub_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Give a test its own hub; HF_ENDPOINT leads to it."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        hub.address = f"http://127.0.0.1:{server.server_port}"
        hub.storage = f"http://localhost:{server.server_port}"  # another host, as clients see it
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield hub
        server.shutdown()
        thread.join(timeout=10)
