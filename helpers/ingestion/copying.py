"""Reading a folder once: every byte hashed, by two threads, never through a link, and copied on the way if wanted."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from helpers.errors import InvalidInput, StoreFailed

CHUNK = 1 << 20

Sink = Callable[[memoryview], object]


def hash_folder(folder: Path, workers: int = 2) -> dict[str, str]:
    """Return the SHA-256 of every file under `folder`. Raises InvalidInput for a link or anything else that is no file.

    Hashing and reading release the interpreter's lock, so the workers are threads.
    """
    return _each(folder, lambda name, source: _hash(folder / name, source, lambda _: None), workers)


def copy_hashed(source: Path, target: Path, workers: int = 2) -> dict[str, str]:
    """Copy every file under `source` to `target` and return its SHA-256, reading each byte once.

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

    return _each(source, copy, workers)


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


def _each(folder: Path, work: Callable[[str, int], str], workers: int) -> dict[str, str]:
    """Call `work` with name and open descriptor of every file, the largest first so that the threads end together."""
    from concurrent.futures import ThreadPoolExecutor

    def opened(name: str) -> str:
        descriptor = _open(folder, name)
        try:
            return work(name, descriptor)
        finally:
            os.close(descriptor)

    sizes = dict(_files(folder))
    names = sorted(sizes, key=lambda name: -sizes[name])
    with ThreadPoolExecutor(workers) as threads:
        try:
            return dict(sorted(zip(names, threads.map(opened, names), strict=True)))
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    for root, folders, names in os.walk(folder, onerror=_unreadable):
        for name in [*names, *folders]:
            path = Path(root, name)
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
                raise InvalidInput(f"{path} is a link or no regular file", do="Replace it by the file itself")
            if name in names:
                yield path.relative_to(folder).as_posix(), status.st_size


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
