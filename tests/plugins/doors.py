"""A door before a real server, which can be shut for some seconds in the ways in which servers go away."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal
from urllib.parse import urlsplit

import pytest

from helpers.runtime import patience

Way = Literal["refused", "silent", "cut", "unanswered", "busy", "failing", "database"]
WAYS: tuple[Way, ...] = ("refused", "silent", "cut", "unanswered", "busy", "failing")
ANSWERS = {"busy": "503 Service Unavailable", "failing": "500 Internal Server Error"}
BODY = '{"code": "500", "message": "the database is away"}'
REQUEST = re.compile(rb"(GET|HEAD|PUT|POST|PATCH|DELETE) ")
BY_ID = re.compile(rb"(GET|PATCH) /\S*/\d+ |POST /\S*/\d+/artifacts ")


class Door:
    """An address that leads to a server, except while it is shut.

    `refused` listens no more, `silent` takes requests and says nothing, `cut` ends each connection, `unanswered` does
    that after the server did what was asked, `busy` answers 503 and `failing` 500. `database` is a registry whose
    database is away: 404 for what is asked by its id, 500 for all else.
    """

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "", parts.port or 80)
        self._way: Way | None = None
        self._plan: tuple[int, Way, float] | None = None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._timers: list[threading.Timer] = []
        self.requests = self.shut = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.address = f"{parts.scheme}://127.0.0.1:{self.port}"
        self._listen()

    def away(self, seconds: float, way: Way = "cut", *, after: int = 0) -> None:
        """Shut the door for some seconds, now or with the request that follows `after` others."""
        if after:
            self._plan = (self.requests + after + 1, way, seconds)
        else:
            self._shut(way, seconds)

    def close(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._way = "refused"
        self._hang_up(self._listener)
        self._hang_up(*self._open)

    def _listen(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _shut(self, way: Way, seconds: float) -> None:
        self.shut += 1
        self._way = way
        if way == "refused":
            self._hang_up(self._listener)
        self._hang_up(*self._open)
        timer = threading.Timer(seconds, self._reopen)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def _reopen(self) -> None:
        was, self._way = self._way, None
        if was == "refused":
            self._listener = socket.create_server(("127.0.0.1", self.port))
            self._listen()
        self._hang_up(*self._open)  # whoever hangs asks again

    def _serve(self, near: socket.socket) -> None:
        far = None
        self._open.add(near)
        try:
            while data := near.recv(65536):
                if REQUEST.match(data):
                    self._count()
                if self._way in ("cut", "refused"):
                    return
                if self._way == "silent":
                    continue
                if answer := self._answer_of_its_own(data):
                    head = f"HTTP/1.1 {answer}\r\nContent-Type: application/json\r\nConnection: close\r\n"
                    near.sendall(f"{head}Content-Length: {len(BODY)}\r\n\r\n{BODY}".encode())
                    return
                if far is None:
                    far = socket.create_connection(self._upstream)
                    threading.Thread(target=self._answer, args=(far, near), daemon=True).start()
                far.sendall(data)
        except OSError:
            pass
        finally:
            self._open.discard(near)
            self._hang_up(near, *([far] if far and self._way != "unanswered" else []))

    def _answer_of_its_own(self, request: bytes) -> str | None:
        if self._way == "database":
            return "404 Not Found" if BY_ID.match(request) else ANSWERS["failing"]
        return ANSWERS.get(self._way or "")

    def _answer(self, far: socket.socket, near: socket.socket) -> None:
        with suppress(OSError):
            while data := far.recv(65536):
                if self._way == "unanswered":
                    break
                near.sendall(data)
        self._hang_up(far, near)

    def _count(self) -> None:
        with self._lock:
            self.requests += 1
            if not self._plan or self.requests != self._plan[0]:
                return
            (_, way, seconds), self._plan = self._plan, None
        if way == "unanswered":
            self._way, self.shut = way, self.shut + 1
            self._timers.append(threading.Timer(seconds, self._reopen))
            self._timers[-1].daemon = True
            self._timers[-1].start()
        else:
            self._shut(way, seconds)

    @staticmethod
    def _hang_up(*ends: socket.socket) -> None:
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextmanager
def door(upstream: str) -> Iterator[Door]:
    """Put a door before a server until the block ends."""
    made = Door(upstream)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let time run twelve times faster for whoever waits: two minutes are ten seconds."""
    monkeypatch.setattr(patience, "SECONDS", 10.0)
    monkeypatch.setattr(patience, "FIRST_SECONDS", 1.0)
    monkeypatch.setattr(patience, "STEPS", (0.05, 0.1, 0.2, 0.4))
    monkeypatch.setattr(patience, "SAY_AFTER", 0.3)
    monkeypatch.setattr(patience, "SAY_EVERY", 1.0)
