"""Reading a folder once: every byte hashed, by two threads, never through a link, and copied on the way if wanted."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from helpers.errors import InvalidInput, StoreFailed
from helpers.ingestion.leaving import Leaving, blob_of

CHUNK = 1 << 20

Sink = Callable[[memoryview], object]


class File(NamedTuple):
    """A file's name and size in bytes, and where its content lies: a folder and the path below it."""

    name: str
    size: int
    folder: Path
    inner: str


def hash_folder(folder: Path, workers: int = 2) -> dict[str, str]:
    """Return the SHA-256 of every file under `folder`. Raises InvalidInput for a link or anything else that is no file.

    Hashing and reading release the interpreter's lock, so the workers are threads.
    """
    return _each(_files(folder), lambda name, source: _hash(folder / name, source, lambda _: None), workers)


def copy_hashed(source: Path, target: Path, workers: int = 2, leaving: Leaving | None = None) -> dict[str, str]:
    """Copy every file under `source` to `target` and return its SHA-256, reading each byte once.

    `leaving` says what stays behind; given that, links of a snapshot of the hub's cache stand for its blobs.
    Raises InvalidInput for a link, for anything else that is no file and for a file that changes meanwhile,
    StoreFailed when `target` cannot be written. Files in `target` of the same name are replaced, others stay.
    """

    def copy(name: str, reading: int) -> str:
        path = target / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            writing = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            return _hash(source / name, reading, _writer(path, writing))
        finally:
            os.close(writing)

    return _each(_files(source, leaving), copy, workers)


def _writer(path: Path, descriptor: int) -> Sink:
    def write(data: memoryview) -> None:
        try:
            while data:
                data = data[os.write(descriptor, data) :]
        except OSError as error:
            raise _unwritable(path, error) from error

    return write


def _unwritable(path: Path, error: OSError) -> StoreFailed:
    return StoreFailed(f"Could not write {path}: {error.strerror}", do="Free some space, then run this stage again")


def _each(files: Iterable[File], work: Callable[[str, int], str], workers: int) -> dict[str, str]:
    """Call `work` with name and open descriptor of every file, the largest first so that the threads end together."""
    from concurrent.futures import ThreadPoolExecutor

    def opened(name: str) -> str:
        descriptor = _open(places[name].folder, places[name].inner)
        try:
            return work(name, descriptor)
        finally:
            os.close(descriptor)

    places = {file.name: file for file in files}
    names = sorted(places, key=lambda name: -places[name].size)
    with ThreadPoolExecutor(workers) as threads:
        try:
            return dict(sorted(zip(names, threads.map(opened, names), strict=True)))
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def _files(folder: Path, leaving: Leaving | None = None) -> Iterator[File]:
    for root, folders, names in os.walk(folder, onerror=_unreadable):
        prefix = Path(root).relative_to(folder)
        if leaving:
            folders[:] = [name for name in folders if not leaving(f"{(prefix / name).as_posix()}/")]
            names = [name for name in names if not leaving((prefix / name).as_posix())]
        for name in [*names, *folders]:
            inner, status = (prefix / name).as_posix(), Path(root, name).lstat()
            if leaving and stat.S_ISLNK(status.st_mode) and (blob := blob_of(folder, inner)):
                yield File(inner, blob.lstat().st_size, blob.parent, blob.name)
            elif not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
                raise InvalidInput(f"{root}/{name} is a link or no regular file", do="Replace it by the file itself")
            elif name in names:
                yield File(inner, status.st_size, folder, inner)


def _unreadable(error: OSError) -> None:
    raise InvalidInput(f"{error.filename} cannot be read: {error.strerror}", do="Check the folder and its permissions")


def _open(folder: Path, name: str) -> int:
    """Open a file by one step for each part of its path: no part may have become a link since it was listed."""
    *parents, last = name.split("/")
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for parent in parents:
            inner = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = inner
        return os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
    except OSError as error:
        error.filename = str(folder / name)
        _unreadable(error)
        raise
    finally:
        os.close(at)


def _hash(path: Path, descriptor: int, sink: Sink) -> str:
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        raise InvalidInput(f"{path} is no regular file", do="Replace it by the file itself")
    value, buffer, left = hashlib.sha256(), memoryview(bytearray(CHUNK)), before.st_size
    while left >= 0 and (count := os.readv(descriptor, [buffer])):
        value.update(buffer[:count])
        sink(buffer[:count])
        left -= count
    after = os.fstat(descriptor)
    if left or (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise InvalidInput(f"{path} changed while it was read", do="Wait until nothing writes to it, then run it again")
    return value.hexdigest()
