"""The header of a safetensors file, as if an attacker had written it: stricter than the library, in bounded memory."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from helpers.errors import RefusedModel
from helpers.ingestion.inspection.lexemes import lexical_problem
from helpers.ingestion.names import shown

MAX_HEADER = 16 * 1024**2  # the library reads 100 MB; more than 100,000 tensors fit in this
MAX_KEYS, MAX_RANK, MAX_NAME = 150_000, 64, 1024
MAX_INTEGER = 2**62
BITS = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip
PLAIN = re.compile(r"[!-~]+")  # as every framework names tensors; it leaves no room for another format in a header
SUFFIX = ".safetensors"
MOST = 5  # problems or names told of one file
EXPORT = "Export the weights again with the safetensors library"

Events = Iterator[tuple[str, Any]]


class Tensor(NamedTuple):
    """One entry of the header; `begin` and `end` count from the end of the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Header(NamedTuple):
    """What a file says of its tensors, and how many bytes it has for them."""

    tensors: dict[str, Tensor]
    data_bytes: int


def read_header(file: BinaryIO) -> Header:
    """Return the header of an open file. Raises RefusedModel with the reason why it is none."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    start = file.read(8)
    if len(start) < 8:
        raise _bad(f"is too short for safetensors: {size} bytes")
    length = int.from_bytes(start, "little")
    if length > size - 8:
        raise _bad(f"claims a header of {length:,} bytes in a file of {size:,}")
    if length > MAX_HEADER:
        raise _bad(f"has a header of {length:,} bytes, more than the {MAX_HEADER:,} that are read")
    text = file.read(length)
    if not text.startswith(b"{"):
        raise _bad("has a header that does not begin with {")
    if problem := lexical_problem(text):
        raise _bad(problem)
    return Header(_parse(text), size - 8 - length)


def _bad(problem: str) -> RefusedModel:
    return RefusedModel(problem, do=EXPORT)


def _parse(text: bytes) -> dict[str, Tensor]:
    import ijson

    events = ijson.basic_parse(io.BytesIO(text))
    tensors: dict[str, Tensor] = {}
    try:
        for name in _keys("the header", events):
            if name == "__metadata__":
                _check_metadata(events)
            else:
                tensors[name] = _tensor(name, events)
        next(events, None)  # a second value would be an error of the parser
    except (ijson.JSONError, ValueError) as error:
        raise _bad(f"has a header that is not JSON: {str(error).partition(chr(10))[0][:80]}") from error
    return tensors


def _keys(where: str, events: Events) -> Iterator[str]:
    """Yield the keys of the object that comes next; the caller takes each value before the next key."""
    if next(events)[0] != "start_map":
        raise _bad(f"has {where} that is no object")
    seen: set[str] = set()
    for event, key in events:
        if event == "end_map":
            return
        if key in seen:
            raise _bad(f"has {label(key)} twice in {where}")
        seen.add(key)
        if len(seen) > MAX_KEYS:
            raise _bad(f"has more than {MAX_KEYS:,} entries in {where}")
        yield key


def _check_metadata(events: Events) -> None:
    for key in _keys("__metadata__", events):
        if next(events)[0] != "string":
            raise _bad(f"has {label(key)} in __metadata__, which is no text")


def _tensor(name: str, events: Events) -> Tensor:
    where = f"tensor {label(name)}"
    if not name or len(name) > MAX_NAME or not PLAIN.fullmatch(name):
        raise _bad(f"has {where}, whose name is empty, too long, not printable, or not ASCII without blanks")
    fields: dict[str, Any] = {}
    for key in _keys(where, events):
        if key == "dtype":
            fields[key] = _dtype(where, events)
        elif key in ("shape", "data_offsets"):
            fields[key] = _integers(f"{key} of {where}", events)
        else:
            raise _bad(f"has {label(key)} in {where}, which safetensors does not know")
    if len(fields) != 3 or len(fields["data_offsets"]) != 2:
        raise _bad(f"has {where} without exactly a dtype, a shape and two data_offsets")
    return Tensor(fields["dtype"], fields["shape"], *fields["data_offsets"])


def _dtype(where: str, events: Events) -> str:
    _, value = next(events)
    for known in BITS:
        if value == known:
            return known
    raise _bad(f"has {where} of the dtype {label(str(value))}, which safetensors does not know")


def _integers(where: str, events: Events) -> tuple[int, ...]:
    if next(events)[0] != "start_array":
        raise _bad(f"has {where} that is no list")
    values: list[int] = []
    for event, value in events:
        if event == "end_array":
            break
        if event != "number" or not isinstance(value, int) or not 0 <= value <= MAX_INTEGER:
            raise _bad(f"has {where} with something else than a whole number up to 2^62")
        values.append(value)
        if len(values) > MAX_RANK:
            raise _bad(f"has {where} with more than {MAX_RANK} numbers")
    return tuple(values)


def label(text: str) -> str:
    """Return a name from a file as it can be quoted in a finding."""
    return repr(shown(text[:80]))
