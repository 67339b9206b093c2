"""Whether a safetensors file is one: by the library that loads it, and stricter where the library lets things pass."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from pathlib import Path

from helpers.errors import InvalidInput, RefusedModel
from helpers.ingestion.findings import Finding
from helpers.ingestion.inspection.json_files import parsed
from helpers.ingestion.inspection.opening import open_file
from helpers.ingestion.names import shown

SUFFIX, RULE = ".safetensors", "safetensors-header"
MAX_HEADER = 16 << 20  # the library reads 100 MB; more than 100,000 tensors fit in this
MAX_VALUES = 1_500_000
MAX_NAME, MAX_ELEMENTS = 1024, 2**62
PLAIN = re.compile(r"[!-~]+")  # as every framework names tensors; it leaves no room for another format in a header
FIELDS = {"dtype", "shape", "data_offsets"}
EXPORT = "Export the weights again with the safetensors library"


def inspect_weights(path: Path, name: str) -> Iterator[Finding]:
    """Yield what is wrong with one safetensors file; reads its header and no tensor."""
    try:
        read_header(path)
    except InvalidInput as error:
        yield Finding(name, RULE, "high", error.what, error.do)


def read_header(path: Path) -> dict[str, int]:
    """Return the size in bytes of every tensor. Raises RefusedModel with the reason why it is no safetensors file.

    The library refuses tensors that overlap, leave a gap, end beyond the file or before it, or do not fit their shape.
    """
    from safetensors import SafetensorError, safe_open

    header = parsed(_text(path), MAX_VALUES)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _bad("has __metadata__ that is not one text for each name")
    for name, entry in header.items():
        if not PLAIN.fullmatch(name) or len(name) > MAX_NAME:
            raise _bad(f"has tensor {label(name)}, whose name is empty, too long, or not ASCII without blanks")
        if not isinstance(entry, dict) or entry.keys() != FIELDS:
            raise _bad(f"has tensor {label(name)} without exactly a dtype, a shape and two data_offsets")
    if not header:
        raise _bad("holds no tensors")
    try:
        with safe_open(path, framework="numpy"):
            pass
    except SafetensorError as error:
        raise _bad(f"is nothing that safetensors loads: {shown(str(error))[:200]}") from error
    for name, entry in header.items():
        if math.prod(length or 1 for length in entry["shape"]) > MAX_ELEMENTS:  # also where a zero hides it
            raise _bad(f"has tensor {label(name)} with more elements than can be counted (overflow)")
    return {name: entry["data_offsets"][1] - entry["data_offsets"][0] for name, entry in header.items()}


def _text(path: Path) -> bytes:
    with open_file(path) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        length = int.from_bytes(file.read(8), "little")
        if size < 8:
            raise _bad(f"is too short for safetensors: {size} bytes")
        if length > size - 8:
            raise _bad(f"claims a header of {length:,} bytes in a file of {size:,}")
        if length > MAX_HEADER:
            raise _bad(f"has a header of {length:,} bytes, more than the {MAX_HEADER:,} that are read")
        text = file.read(length)
    if not text.startswith(b"{"):
        raise _bad("has a header that does not begin with {")
    return text


def _bad(problem: str) -> RefusedModel:
    return RefusedModel(problem, do=EXPORT)


def label(text: str) -> str:
    """Return a name from a file as it can be quoted in a finding."""
    return repr(shown(text[:80]))
