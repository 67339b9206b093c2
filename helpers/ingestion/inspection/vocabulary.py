"""Tokenizers in a file `*.model`: sentencepiece's protobuf, or tiktoken's lines; walked, never loaded."""

from __future__ import annotations

import re
from typing import BinaryIO

MAX_BYTES = 64 << 20
MAX_PIECES = 2_000_000
MESSAGES = frozenset(range(1, 6))  # pieces, trainer, normalizer, self test, denormalizer
EXTENSIONS = 200  # fields from here on belong to others
TIKTOKEN_LINE = re.compile(rb"[A-Za-z0-9+/]{1,8192}={0,2} \d{1,10}\n?")
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
PIECE = {1: BYTES, 2: FIXED32, 3: VARINT}


def tokenizer_problem(file: BinaryIO) -> str:
    """Return why an open file is no tokenizer model, empty where it is one."""
    file.seek(0)
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        return f"has more than the {MAX_BYTES:,} bytes that a tokenizer model may have"
    if not data.startswith(b"\n"):
        return _tiktoken_problem(data)
    try:
        pieces = _walk_model(data)
    except (IndexError, ValueError):
        return "is no sentencepiece model: its protobuf does not parse"
    return "" if pieces else "is a sentencepiece model without pieces"


def _tiktoken_problem(data: bytes) -> str:
    position, number = 0, 0
    while position < len(data):
        number += 1
        match = TIKTOKEN_LINE.match(data, position)
        if not match or not (match[0].endswith(b"\n") or match.end() == len(data)):
            return f"is neither a sentencepiece model nor tiktoken's: line {number:,} is no token with its rank"
        position = match.end()
    return "" if number else "is an empty tokenizer model"


def _walk_model(data: bytes) -> int:
    """Return the number of pieces. Raises ValueError or IndexError where the bytes are no such message."""
    position, pieces = 0, 0
    while position < len(data):
        field, wire, start, position = _field(data, position, len(data))
        if (field in MESSAGES and wire != BYTES) or len(MESSAGES) < field < EXTENSIONS:
            raise ValueError
        if field == 1:
            _walk_piece(data, start, position)
            pieces += 1
            if pieces > MAX_PIECES:
                raise ValueError
    return pieces


def _walk_piece(data: bytes, position: int, end: int) -> None:
    while position < end:
        field, wire, start, position = _field(data, position, end)
        if field < EXTENSIONS and PIECE.get(field) != wire:
            raise ValueError
        if field == 1:
            data[start:position].decode()


def _field(data: bytes, position: int, end: int) -> tuple[int, int, int, int]:
    """Return number, wire type, start and end of the field at a position."""
    tag, position = _varint(data, position)
    field, wire = tag >> 3, tag & 7
    start = position
    if wire == VARINT:
        _, position = _varint(data, position)
    elif wire == BYTES:
        length, start = _varint(data, position)
        position = start + length
    elif wire in (FIXED32, FIXED64):
        position += 4 if wire == FIXED32 else 8
    else:
        raise ValueError
    if not field or position > end:
        raise ValueError
    return field, wire, start, position


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError
