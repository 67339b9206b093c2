"""Reading compressed bytes from strangers: forward only, and never more than the bounds allow."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

from helpers.errors import RefusedModel

CHUNK = 1 << 20
FREE = 64 << 20  # bytes that may come out of a file of any size
XZ_MEMORY = 128 << 20  # twice what `xz -9` needs
MAGIC = {
    b"\x1f\x8b\x08": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"x": "zlib",
    b"]\0\0": "lzma",
}
TRIED: dict[str, Callable[[], Any]] = {  # a text or a length may begin like these
    "gzip": lambda: zlib.decompressobj(31),
    "zlib": zlib.decompressobj,
    "bzip2": bz2.BZ2Decompressor,
    "lzma": lambda: lzma.LZMADecompressor(memlimit=XZ_MEMORY),
}
TAKE_ANOTHER = "Do not use this file; take the model from its publisher"


class Bounds(NamedTuple):
    """What an archive may hold at most; `ratio` is bytes out per byte in."""

    members: int
    total_bytes: int
    ratio: int = 100


def compression(head: bytes) -> str:
    """Return the name of the compression that a file's first 512 bytes announce, empty for none."""
    found = next((name for magic, name in MAGIC.items() if head.startswith(magic)), "")
    return "" if found in TRIED and not _unpacks(head, TRIED[found]()) else found


def _unpacks(head: bytes, decompressor: Any) -> bool:
    try:
        decompressor.decompress(head, 1 << 16)
    except (zlib.error, lzma.LZMAError, OSError):
        return False
    return True


class Forward:
    """A compressed or plain file that is read once, from its start to its end, within bounds."""

    def __init__(self, file: BinaryIO, bounds: Bounds) -> None:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        self._compression = compression(file.read(512))
        file.seek(0)
        self._source = _inflated(file, self._compression)
        self._position, self._limit, self._ratio = 0, bounds.total_bytes, bounds.ratio
        self._bomb = FREE + size * bounds.ratio
        self.header_budget = CHUNK  # bytes that may pass before the next member
        self.last = b""

    def read(self, size: int) -> bytes:
        """Return the next bytes, all of them unless the file ends. Raises RefusedModel beyond the bounds."""
        if size > CHUNK:
            raise RefusedModel(f"has a header of {size:,} bytes inside", do=TAKE_ANOTHER)
        self.header_budget -= size
        if self.header_budget < 0:
            raise RefusedModel("has headers without end inside", do=TAKE_ANOTHER)
        self.last = self._read(size)
        return self.last

    def _read(self, size: int) -> bytes:
        data: bytes = self._source.read(size)
        self._position += len(data)
        if self._compression and self._position > self._bomb:
            raise RefusedModel(
                f"unpacks to more than {self._ratio} times its size (a decompression bomb)", do=TAKE_ANOTHER
            )
        if self._position > self._limit:
            raise RefusedModel(
                f"unpacks to more than {self._limit:,} bytes", do="Raise the policy's limit, if it is right"
            )
        return data

    def content(self, size: int) -> bytes:
        """Return up to `size` bytes of a member, which do not count as headers."""
        return self._read(min(size, CHUNK))

    def seek(self, position: int) -> int:
        """Skip forward. Raises RefusedModel where an archive points back."""
        if position < self._position:
            raise RefusedModel("points back into itself", do=TAKE_ANOTHER)
        while self._position < position and self._read(min(CHUNK, position - self._position)):
            pass
        return self._position

    def tell(self) -> int:
        """Return the number of bytes that came out so far."""
        return self._position


def _inflated(file: BinaryIO, kind: str) -> Any:
    if kind == "zstd":
        raise RefusedModel("is compressed with zstd, which nobody can look into here", do="Compress it with gzip")
    if kind == "gzip":
        return gzip.GzipFile(fileobj=file)
    if kind == "bzip2":
        return bz2.BZ2File(file)
    if kind == "zlib":
        return _Deflated(file)
    if kind in ("xz", "lzma"):
        return _Streams(file, lambda: lzma.LZMADecompressor(memlimit=XZ_MEMORY))
    return file


class _Streams:
    """xz streams, one after the other, in bounded memory (LZMAFile would grant what the file asks for)."""

    def __init__(self, file: BinaryIO, decompressor: Callable[[], Any]) -> None:
        self._file, self._new = file, decompressor
        self._current = decompressor()

    def read(self, size: int) -> bytes:
        data, parts = b"", []
        while size and (data := self._some(size)):
            parts.append(data)
            size -= len(data)
        return b"".join(parts)

    def _some(self, size: int) -> bytes:
        while True:
            if self._current.eof:
                rest = self._current.unused_data or self._file.read(1 << 16)
                if not rest.strip(b"\0"):
                    return b""
                self._current = self._new()
            else:
                rest = self._file.read(1 << 16) if self._current.needs_input else b""
                if not rest and self._current.needs_input:
                    raise EOFError("the compressed data ends too early")
            if data := self._current.decompress(rest, size):
                return bytes(data)


class _Deflated:
    """One zlib stream, as joblib writes it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._current = file, zlib.decompressobj()

    def read(self, size: int) -> bytes:
        while not self._current.eof and (rest := self._current.unconsumed_tail or self._file.read(1 << 16)):
            if data := self._current.decompress(rest, size):
                return data
        return b""
