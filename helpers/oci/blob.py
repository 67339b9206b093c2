"""A blob of a registry as a file that is read once, from its start to its end, and lies nowhere."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from helpers.errors import SourceUnreachable
from helpers.metering import Meter, retrying
from helpers.oci.manifest import Descriptor
from helpers.oci.registry import Registry

HEAD = 1 << 16  # what readers look at more than once


class Blob(io.RawIOBase):
    """Hashes and counts what is read in order; a look at another place asks the registry for that part."""

    def __init__(self, registry: Registry, descriptor: Descriptor, meter: Meter) -> None:
        self._registry, self._descriptor, self._meter = registry, descriptor, meter
        self._hash, self._hashed = hashlib.sha256(), 0
        self._position = self._next = 0
        self._chunks: Iterator[bytes] | None = None
        self._rest, self._head = b"", b""
        self._stack = ExitStack()
        self._head = self._fetch(0, HEAD)

    @property
    def complete(self) -> bool:
        """Whether all of it was read and is what its digest says."""
        return self._hashed == self._descriptor.size and f"sha256:{self._hash.hexdigest()}" == self._descriptor.digest

    def readable(self) -> bool:
        """It is for reading."""
        return True

    def seekable(self) -> bool:
        """Any part can be asked for."""
        return True

    def tell(self) -> int:
        """Return where the next read begins."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go anywhere; nothing is asked for yet."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._descriptor.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, fewer only at the end. Raises SourceUnreachable."""
        left = max(0, self._descriptor.size - self._position)
        size = left if size is None or size < 0 else min(size, left)
        start, data = self._position, self._head[self._position : self._position + size]
        if len(data) < size:
            data += self._fetch(start + len(data), size - len(data))
        self._position += len(data)
        if start <= self._hashed < self._position:
            fresh = data[self._hashed - start :]
            self._hash.update(fresh)
            self._hashed = self._position
            self._meter.add(len(fresh))
        return data

    def close(self) -> None:
        """End the connection."""
        self._stack.close()
        super().close()

    def _fetch(self, start: int, size: int) -> bytes:
        """Return bytes from `start` on, asked for again where the connection breaks."""
        if self._chunks is None or self._next != start:
            self._forget()
        parts: list[bytes] = []
        try:
            while size and (data := retrying(partial(self._some, start, size), self._meter.source)):
                parts.append(data)
                start, size = start + len(data), size - len(data)
        except ConnectionError as error:
            name = self._descriptor.digest[:19]
            raise SourceUnreachable(
                f"{self._meter.source} stopped in {name} after {start:,} of {self._descriptor.size:,} bytes: {error}",
                do="Check the network and the address, then run this stage again",
            ) from error
        return b"".join(parts)

    def _some(self, start: int, size: int) -> bytes:
        try:
            if self._chunks is None:
                self._open(start)
            while not self._rest:
                assert self._chunks is not None
                if (chunk := next(self._chunks, None)) is None:
                    if self._next < self._descriptor.size:
                        raise ConnectionError("the connection ended early")
                    return b""
                self._rest = chunk
        except Exception as error:
            stack, self._stack = self._stack, ExitStack()
            self._chunks, self._rest = None, b""
            stack.__exit__(type(error), error, error.__traceback__)  # where HTTP's errors become a ConnectionError
            raise
        data, self._rest = self._rest[:size], self._rest[size:]
        self._next += len(data)
        return data

    def _open(self, start: int) -> None:
        incoming = self._stack.enter_context(self._registry.blob(self._descriptor.digest, start))
        self._chunks, skip = incoming.chunks, start - incoming.offset
        while skip > 0:  # a registry that does not know ranges sends all of it
            chunk = next(self._chunks, None)
            if chunk is None:
                raise ConnectionError("the connection ended early")
            self._rest, skip = chunk[skip:], skip - len(chunk)
        self._next = start

    def _forget(self) -> None:
        self._stack.close()
        self._chunks, self._rest = None, b""
