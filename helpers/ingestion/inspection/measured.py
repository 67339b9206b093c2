"""A JSON file whose strings and numbers end within bounds: the parser would hold one of any length."""

from __future__ import annotations

import re
from typing import BinaryIO

from helpers.errors import RefusedModel

STRING, DIGITS = 4 << 20, 200
LONG_NUMBER = re.compile(rb"[0-9]{%d}" % DIGITS)
HOSTILE = "Do not use this file; take the model from its publisher"


class Measured:
    """What the parser reads from: each chunk is measured before the parser sees it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._inside, self._open, self._carry, self._tail = False, 0, b"", b""

    def read(self, size: int) -> bytes:
        """Return the next bytes; raises RefusedModel where a text or number in them is too long."""
        chunk = self._file.read(size)
        self._measure(chunk)
        return chunk

    def _measure(self, chunk: bytes) -> None:
        text = (self._carry + chunk).replace(rb"\\", b"xx").replace(rb"\"", b"xx")
        self._carry = b"\\" if text.endswith(b"\\") else b""
        pieces = text.removesuffix(b"\\").split(b'"')
        strings, between = pieces[not self._inside :: 2], pieces[self._inside :: 2]
        if self._inside:
            self._open += len(pieces[0])
        self._measure_numbers(between)
        if self._open > STRING or max(map(len, strings), default=0) > STRING:
            raise RefusedModel(f"has a text of more than {STRING:,} bytes", do=HOSTILE)
        if len(pieces) > 1:
            self._inside ^= len(pieces) % 2 == 0
            self._open = len(pieces[-1]) if self._inside else 0

    def _measure_numbers(self, between: list[bytes]) -> None:
        if not between:
            return
        if not self._inside:
            between[0] = self._tail + between[0]
        if max(map(len, between)) >= DIGITS and any(map(LONG_NUMBER.search, between)):
            raise RefusedModel(f"has a number of more than {DIGITS} digits", do=HOSTILE)
        self._tail = between[-1][-DIGITS:]
