"""The records that a registry knows, and the raw files that belong to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

from helpers.artifacts import Record
from helpers.errors import AssayError
from helpers.records.reading import read_signed
from helpers.registry import AttachedRecord, connect


class Archive:
    """The registry's records, newest first and listed once; what cannot be had is no error here, but told."""

    def __init__(self, registry: str) -> None:
        self.registry = registry
        self._trouble: AssayError | None = None
        self._told = False

    def records(self, **properties: str) -> Iterator[Record]:
        """Yield every record with a measurement of these properties that the store has and somebody trusted signed."""
        for entry in self._entries:
            wanted = entry.withdrawal is None and entry.has(**properties)
            if wanted and (record := self._read(entry)):
                yield record

    def note(self, error: AssayError) -> None:
        """Keep why something cannot be had, for `tell`; the first reason counts."""
        self._trouble = self._trouble or error

    def tell(self, say: Callable[[str], None]) -> bool:
        """Say why something could not be had, the first time only, and return whether there is anything to say."""
        if self._trouble and not self._told:
            say(f"No earlier result is taken over: {self._trouble.what.rstrip('. ')}.")
            self._told = True
        return self._trouble is not None

    @cached_property
    def _entries(self) -> list[AttachedRecord]:
        try:
            return connect(self.registry).records(also_withdrawn=True)[::-1]
        except AssayError as error:
            self.note(error)
            return []

    def withdrew(self, **properties: str) -> bool:
        """Return whether the newest record with a measurement of these properties was withdrawn."""
        alike = (entry for entry in self._entries if entry.has(**properties))
        return (newest := next(alike, None)) is not None and newest.withdrawal is not None

    def _read(self, entry: AttachedRecord) -> Record | None:
        try:
            return read_signed(entry)
        except AssayError as error:
            self.note(error)
        return None
