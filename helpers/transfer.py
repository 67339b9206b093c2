"""Bytes on their way from a server into a file: hashed while they arrive, resumed after a kill.

A backend opens a file from an offset on and translates its errors: after a ConnectionError it is asked again.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from helpers.errors import SourceUnreachable, StoreFailed
from helpers.metering import Meter, refused, retrying

CHUNK = 1 << 20
PATIENCE = 60.0  # seconds for an answer that is no file


class Incoming(NamedTuple):
    """What a server sends, and the offset in the file at which it begins."""

    offset: int
    chunks: Iterator[bytes]  # as they come: one that waits until it is large would hide how slow it is


Opener = Callable[[int], AbstractContextManager[Incoming]]


def starts_at(status: int, content_range: str) -> int:
    """Return the offset at which an answer begins: all of it with 200, what Content-Range says with 206."""
    if status != 206:
        return 0
    first = content_range.removeprefix("bytes ").partition("-")[0]
    if not first.isdigit():
        raise ConnectionError("the server sends a part without saying which")
    return int(first)


def whole(chunks: Iterator[bytes], most: int) -> bytes | None:
    """Return a short answer, None for one of more than `most` bytes. Raises ConnectionError after a minute."""
    data, start = bytearray(), time.monotonic()
    for chunk in chunks:
        data += chunk
        if len(data) > most:
            return None
        if time.monotonic() - start > PATIENCE:
            raise ConnectionError(f"the answer does not end within {PATIENCE:g} seconds")
    return bytes(data)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(opened: Opener, path: Path, part: Path, *, name: str, size: int, meter: Meter) -> str:
    """Fetch one file to `path` and return its SHA-256; what an earlier run left in `part` is not fetched again.

    Raises Refused when more than `size` bytes come, SourceUnreachable when nothing more comes for two minutes.
    """
    if path.is_file():
        meter.found(path.stat().st_size)
        return sha256_of(path)
    try:
        coming = _Coming(opened, part, name, size, meter)
        while not coming.complete:
            coming.advance()
        path.parent.mkdir(parents=True, exist_ok=True)
        part.replace(path)
    except ConnectionError as error:
        raise SourceUnreachable(
            f"{meter.source} stopped in {name} after {coming.have:,} of {size:,} bytes: {error}",
            do="Check the network and the address, then run it again: it continues where it ended",
        ) from error
    except OSError as error:
        raise StoreFailed(
            f"Could not write {path}: {error.strerror}", do="Free some space, then run it again"
        ) from error
    return coming.value.hexdigest()


class _Coming:
    """One file on its way: the hash of what is here goes on where it ended."""

    def __init__(self, opened: Opener, part: Path, name: str, size: int, meter: Meter) -> None:
        self.opened, self.part, self.name, self.size, self.meter = opened, part, name, size, meter
        self.value, self.have = hashlib.sha256(), 0
        if part.is_file():
            with part.open("rb") as file:
                while data := file.read(CHUNK):
                    self._count(data)
            meter.found(self.have)
        else:
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))

    @property
    def complete(self) -> bool:
        """Whether every byte is here."""
        return self.have == self.size

    def advance(self) -> None:
        """Try until one more byte is here, patiently; a connection may break as often as it likes in between."""
        before = self.have
        try:
            retrying(self._attempt, self.meter.source, lambda: self.have <= before)
        except ConnectionError:
            if self.have <= before:
                raise

    def _attempt(self) -> None:
        self.meter.check_time()
        with self.opened(self.have) as (offset, chunks), self.part.open("r+b") as file:
            if offset != self.have:
                self._rewind(offset)
            file.truncate(self.have)
            file.seek(self.have)
            for data in chunks:
                self._count(data)
                file.write(data)
                self.meter.add(len(data))
        if not self.complete:
            raise ConnectionError(f"the connection ended after {self.have:,} of {self.size:,} bytes")

    def _rewind(self, offset: int) -> None:
        if offset:
            raise ConnectionError(f"asked for byte {self.have:,} and on, the server sent from {offset:,} on")
        self.meter.found(-self.have)
        self.value, self.have = hashlib.sha256(), 0

    def _count(self, data: bytes) -> None:
        self.value.update(data)
        self.have += len(data)
        if self.have > self.size:
            problem = f"has more than the {self.size:,} bytes that were announced"
            raise refused(self.meter.source, self.name, "size", problem, "Ask the source's owner; do not use it")
