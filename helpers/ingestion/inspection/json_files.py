"""JSON from strangers, read as events: size, depth, texts and number of values are bounded before they are held."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from helpers.errors import RefusedModel
from helpers.ingestion.inspection.measured import HOSTILE, Measured
from helpers.ingestion.inspection.opening import open_file

DEPTH, VALUES, NAMES = 64, 4_000_000, 1_000_000
CHUNK = 1 << 16
ITEM = "*"
STARTS, ENDS = ("start_map", "start_array"), ("end_map", "end_array")
MARKS = {
    b"\xff\xfe": "UTF-16 or UTF-32",
    b"\xfe\xff": "UTF-16",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xef\xbb\xbf": "a byte order mark",
}
EXPORT = "Export the file again as plain JSON (RFC 8259, UTF-8)"

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
        yield from _parsed(Measured(file))


def _refuse_other_encodings(start: bytes) -> None:
    marks = [name for mark, name in MARKS.items() if start.startswith(mark)]
    if not marks and b"\0" in start:
        marks = ["UTF-16 or UTF-32"]
    if marks:
        raise RefusedModel(f"is not plain UTF-8: it begins with {marks[-1]}", do="Save it as UTF-8 without a mark")


def _walk(events: Iterator[tuple[str, Scalar]]) -> Iterator[Value]:
    """Turn events into values; what is held is the place and each name in the objects that are open."""
    place: list[str] = []
    objects = _Objects()
    count = 0
    for event, value in events:
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
    """The names in every object that is open, to find one that is there twice."""

    def __init__(self) -> None:
        self._names: list[set[str]] = []
        self._count = 0

    def start(self) -> None:
        self._names.append(set())

    def end(self) -> None:
        self._count -= len(self._names.pop())

    def add(self, name: str) -> None:
        names = self._names[-1]
        if name in names:
            raise RefusedModel(
                f"has the name {name[:80]!a} twice in one object; readers differ on which counts", do=HOSTILE
            )
        names.add(name)
        self._count += 1
        if self._count > NAMES:
            raise RefusedModel(f"has more than {NAMES:,} names in objects that are open at once", do=HOSTILE)


def _parsed(file: Measured) -> Iterator[Value]:
    import ijson

    try:
        yield from _walk(ijson.basic_parse(file, buf_size=CHUNK))
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
    return f"{lines[0].rstrip('.')} near {near[:60]!a}" if near else lines[0]
