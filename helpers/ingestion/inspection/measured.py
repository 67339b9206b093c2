"""A JSON file whose strings and numbers end within bounds: the parser would hold one of any length.

`Infinity` and `NaN` pass as numbers, though RFC 8259 has none: Python writes them, and configurations of published
models have them.
"""

from __future__ import annotations

import re
from typing import BinaryIO

from helpers.errors import RefusedModel

STRING, DIGITS = 4 << 20, 200
LONG_NUMBER = re.compile(rb"[0-9]{%d}" % DIGITS)
NO_NUMBER = re.compile(rb"(?<![\w.])(?:Infinity|(?<!-)NaN)(?![\w.])")
CUT = re.compile(rb"(?:I(?:n(?:f(?:i(?:n(?:i(?:ty?)?)?)?)?)?)?|Na?N?)$")
HOSTILE = "Do not use this file; take the model from its publisher"


class Measured:
    """What the parser reads from: each chunk is measured before the parser sees it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._inside, self._open, self._carry, self._tail = False, 0, b"", b""

    def read(self, size: int) -> bytes:
        """Return the next bytes; raises RefusedModel where a text or number in them is too long."""
        chunk = self._file.read(size)
        while CUT.search(chunk[-9:]) and (more := self._file.read(1)):
            chunk += more
        starts_inside, carried = self._inside, len(self._carry)
        pieces = self._measure(chunk)
        return _numbers_only(chunk, pieces, starts_inside, carried) if NO_NUMBER.search(chunk) else chunk

    def _measure(self, chunk: bytes) -> list[bytes]:
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
        return pieces

    def _measure_numbers(self, between: list[bytes]) -> None:
        if not between:
            return
        if not self._inside:
            between[0] = self._tail + between[0]
        if max(map(len, between)) >= DIGITS and any(map(LONG_NUMBER.search, between)):
            raise RefusedModel(f"has a number of more than {DIGITS} digits", do=HOSTILE)
        self._tail = between[-1][-DIGITS:]


def _numbers_only(chunk: bytes, pieces: list[bytes], starts_inside: bool, carried: int) -> bytes:
    """Return the chunk with a 0 in the place of each Infinity and NaN that stands outside a text."""
    plain, start, inside = bytearray(chunk), -carried, starts_inside
    for piece in pieces:
        for found in () if inside else NO_NUMBER.finditer(piece):
            plain[start + found.start() : start + found.end()] = b"0".ljust(len(found[0]))
        start, inside = start + len(piece) + 1, not inside
    return bytes(plain)
