"""Bytes on their way from a server into a file: hashed while they arrive, resumed after a kill.

A backend opens a file from an offset on and translates its errors: after a ConnectionError it is asked again.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import NamedTuple

from helpers.errors import SourceUnreachable, StoreFailed
from helpers.ingestion.metering import Meter, refused, retrying

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


def resumed(opened: Opener, source: str, start: int = 0, size: int | None = None) -> Generator[bytes, None, None]:
    """Yield what a server sends from byte `start` on; where the line breaks, it is asked for the rest.

    Raises ConnectionError when nothing more comes for two minutes, or where it ends before `size`.
    """
    stack, at = ExitStack(), start
    coming: Iterator[bytes] | None = None

    def more() -> bytes:
        nonlocal stack, coming
        try:
            if coming is None:
                offset, chunks = stack.enter_context(opened(at))
                coming = _after(chunks, at - offset)
            if not (data := next(coming, b"")) and at < (size or 0):
                raise ConnectionError(f"the connection ended after {at:,} of {size:,} bytes")
            return data
        except Exception as error:
            broken, stack, coming = stack, ExitStack(), None
            broken.__exit__(type(error), error, error.__traceback__)  # where HTTP's errors become a ConnectionError
            raise

    try:
        while at != size and (data := retrying(more, source)):
            at += len(data)
            yield data
    finally:
        stack.close()


def _after(chunks: Iterator[bytes], skip: int) -> Iterator[bytes]:
    """Yield what comes after the first bytes: a server that does not know ranges sends all of it."""
    if skip < 0:
        raise ConnectionError("the server sends a later part than it was asked for")
    for chunk in chunks:
        if len(chunk) > skip:
            yield chunk[skip:]
        skip = max(0, skip - len(chunk))


def download(opened: Opener, path: Path, part: Path, *, name: str, size: int, meter: Meter) -> str:
    """Fetch one file to `path` and return its SHA-256; what an earlier run left in `part` is not fetched again.

    Raises Refused when more than `size` bytes come, SourceUnreachable when nothing more comes for two minutes.
    """
    if path.is_file():
        meter.found(path.stat().st_size)
        return sha256_of(path)

    def in_time(offset: int) -> AbstractContextManager[Incoming]:
        meter.check_time()
        return opened(offset)

    have = 0
    try:
        with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+b") as file:
            value = hashlib.sha256()
            while data := file.read(CHUNK):
                value.update(data)
            have = file.tell()
            meter.found(have)
            for data in resumed(in_time, meter.source, have, size) if have <= size else ():
                value.update(data)
                file.write(data)
                have += len(data)
                meter.add(len(data))
                if have > size:
                    break
        if have > size:
            problem = f"has more than the {size:,} bytes that were announced"
            raise refused(meter.source, name, "size", problem, "Ask the source's owner; do not use it")
        path.parent.mkdir(parents=True, exist_ok=True)
        part.replace(path)
    except ConnectionError as error:
        raise SourceUnreachable(
            f"{meter.source} stopped in {name} after {have:,} of {size:,} bytes: {error}",
            do="Check the network and the address, then run it again: it continues where it ended",
        ) from error
    except OSError as error:
        raise StoreFailed(
            f"Could not write {path}: {error.strerror}", do="Free some space, then run it again"
        ) from error
    return value.hexdigest()
