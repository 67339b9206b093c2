"""JSON from strangers, read as events: its size, depth, strings and number of values are bounded before they are held."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, NamedTuple

from helpers.errors import RefusedModel
from helpers.ingestion.inspection.opening import open_file

DEPTH, VALUES, NAMES = 64, 5_000_000, 1_000_000
STRING, DIGITS = 4 << 20, 200
CHUNK = 1 << 16
ITEM = "*"
STARTS, ENDS = ("start_map", "start_array"), ("end_map", "end_array")
MARKS = {
    b"\xff\xfe": "UTF-16 or UTF-32",
    b"\xfe\xff": "UTF-16",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xef\xbb\xbf": "a byte order mark",
}
LONG_NUMBER = re.compile(rb"[0-9]{%d}" % DIGITS)
EXPORT = "Export the file again as plain JSON (RFC 8259, UTF-8)"
HOSTILE = "Do not use this file; take the model from its publisher"

Scalar = str | int | Decimal | bool | None


class Value(NamedTuple):
    """One scalar and the names on the way to it; `*` is any item of an array. The list changes with the next value."""

    place: list[str]
    scalar: Scalar


def values(path: Path, limit: int) -> Iterator[Value]:
    """Yield every scalar of a JSON file of at most `limit` bytes; raises RefusedModel with what is wrong."""
    with open_file(path) as file:
        size = file.seek(0, 2)
        file.seek(0)
        if size > limit:
            raise RefusedModel(f"has {size:,} bytes, JSON may have {limit:,}", do="Remove it, or raise limits.json_mib")
        _refuse_other_encodings(file.peek(4)[:4])
        yield from _walk(_Bounded(file))


def _refuse_other_encodings(start: bytes) -> None:
    marks = [name for mark, name in MARKS.items() if start.startswith(mark)]
    if not marks and b"\0" in start:
        marks = ["UTF-16 or UTF-32"]
    if marks:
        raise RefusedModel(f"is not plain UTF-8: it begins with {marks[-1]}", do="Save it as UTF-8 without a mark")


def _walk(file: _Bounded) -> Iterator[Value]:
    """Turn events into values; what is held is the place and a hash of each name in the objects that are open."""
    place: list[str] = []
    objects = _Objects()
    count = 0
    for event, value in _events(file):
        if event == "map_key":
            place[-1] = str(value)
            objects.add(place[-1])
        elif event in STARTS:
            _refuse_depth(len(place))
            place.append(ITEM)
            objects.start()
        elif event in ENDS:
            place.pop()
            objects.end()
            continue
        else:
            if not place:
                raise RefusedModel("holds neither an object nor a list", do=EXPORT)
            yield Value(place, value)
        count += 1
        if count > VALUES:
            raise RefusedModel(f"has more than {VALUES:,} values", do=HOSTILE)


def _refuse_depth(depth: int) -> None:
    if depth == DEPTH:
        raise RefusedModel(f"is nested deeper than {DEPTH} levels", do=HOSTILE)


class _Objects:
    """The names in every object that is open, as hashes: enough to find a name that is there twice."""

    def __init__(self) -> None:
        self._names: list[set[int]] = []
        self._count = 0

    def start(self) -> None:
        self._names.append(set())

    def end(self) -> None:
        self._count -= len(self._names.pop())

    def add(self, name: str) -> None:
        names, key = self._names[-1], hash(name)
        if key in names:
            raise RefusedModel(f"has the name {name[:80]!a} twice in one object; readers differ on which counts", do=HOSTILE)
        names.add(key)
        self._count += 1
        if self._count > NAMES:
            raise RefusedModel(f"has more than {NAMES:,} names in objects that are open at once", do=HOSTILE)


def _events(file: _Bounded) -> Iterator[tuple[str, Scalar]]:
    import ijson

    try:
        yield from ijson.basic_parse(file, buf_size=CHUNK)
    except UnicodeDecodeError as error:
        raise RefusedModel("is not UTF-8 text", do=EXPORT) from error
    except ArithmeticError as error:
        raise RefusedModel("has a number that no program can hold", do=HOSTILE) from error
    except ijson.JSONError as error:
        raise RefusedModel(f"is not JSON: {_reason(error)}", do=EXPORT) from error


def _reason(error: Exception) -> str:
    raw = error.args[0]
    lines = (raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)).splitlines()
    near = lines[1].strip() if len(lines) > 2 else ""
    if "NaN" in near or "Infinity" in near:
        return f"it has NaN or Infinity near {near[:60]!a}"
    return f"{lines[0].rstrip('.')} near {near[:60]!a}" if near else lines[0]


class _Bounded:
    """A file whose strings and numbers end within bounds: the parser would hold one of any length."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._inside, self._open, self._carry, self._tail = False, 0, b"", b""

    def read(self, size: int) -> bytes:
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
