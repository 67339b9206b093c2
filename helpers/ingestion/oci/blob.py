"""A blob of a registry as a file that is read once, from its start to its end, and lies nowhere."""

from __future__ import annotations

import hashlib
import io
from functools import partial
from typing import TYPE_CHECKING

from helpers.errors import SourceUnreachable
from helpers.ingestion.metering import Meter
from helpers.ingestion.oci.manifest import Descriptor
from helpers.ingestion.oci.registry import Registry
from helpers.ingestion.transfer import resumed

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Blob(io.RawIOBase):
    """Hashes and counts what is read; a line that breaks is taken up again."""

    def __init__(self, registry: Registry, descriptor: Descriptor, meter: Meter) -> None:
        self._descriptor, self._meter = descriptor, meter
        self._chunks = resumed(partial(registry.blob, descriptor.digest), meter.source, size=descriptor.size)
        self._hash, self._rest = hashlib.sha256(), b""

    @property
    def complete(self) -> bool:
        """Whether all of it was read and is what its digest says."""
        return not self._rest and f"sha256:{self._hash.hexdigest()}" == self._descriptor.digest

    def readable(self) -> bool:
        """It is for reading."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill the buffer with what comes next, nothing at the end. Raises SourceUnreachable."""
        if not self._rest:
            try:
                self._rest = next(self._chunks, b"")
            except ConnectionError as error:
                raise SourceUnreachable(
                    f"{self._meter.source} stopped in {self._descriptor.digest[:19]}: {error}",
                    do="Check the network and the address, then run this stage again",
                ) from error
            self._hash.update(self._rest)
            self._meter.add(len(self._rest))
        room = memoryview(buffer).cast("B")
        count = min(len(room), len(self._rest))
        room[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

    def close(self) -> None:
        """End the connection."""
        self._chunks.close()
        super().close()
