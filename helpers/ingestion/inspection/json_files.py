"""JSON from strangers: size, depth, texts and number of values are bounded, and no name is there twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from helpers.errors import RefusedModel
from helpers.ingestion.inspection.opening import open_file

DEPTH, VALUES, NAMES = 64, 4_000_000, 1_000_000
BLOCK, TEXT = 4 << 20, 400_000  # characters; the longest text of a real tokenizer, a map of characters, has 320,000
ITEM = "*"
EXPORT = "Export the file again as plain JSON (RFC 8259, UTF-8)"
HOSTILE = "Do not use this file; take the model from its publisher"

Scalar = str | int | float | bool | None


class Value(NamedTuple):
    """One scalar and the names on the way to it; `*` is any item of an array."""

    place: tuple[str, ...]
    scalar: Scalar


def values(path: Path, limit: int) -> Iterator[Value]:
    """Yield every scalar of a JSON file of at most `limit` bytes; raises RefusedModel with what is wrong."""
    with open_file(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise RefusedModel(f"has more than the {limit:,} bytes that JSON may have", do="Raise limits.json_mib")
    document = parsed(data)
    if not isinstance(document, dict | list):
        raise RefusedModel("holds neither an object nor a list", do=EXPORT)
    yield from _walk(document)


def parsed(data: bytes, most: int = VALUES) -> Any:
    """Return what JSON text holds: at most `most` values. Raises RefusedModel."""
    if b"\0" in data[:64] or data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise RefusedModel("is not plain UTF-8: it begins with a byte order mark or is UTF-16", do=EXPORT)
    if sum(map(data.count, (b",", b"[", b"{"))) > most:
        raise RefusedModel(f"has more than {most:,} values", do=HOSTILE)
    if data.count(b":") > NAMES:
        raise RefusedModel(f"has more than {NAMES:,} names", do=HOSTILE)
    if _is_endless(data):
        raise RefusedModel(f"has a text or number of more than {BLOCK:,} bytes", do=HOSTILE)
    try:
        return json.loads(data.decode(), object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise RefusedModel(f"is not UTF-8 text: byte {error.start:,}", do=EXPORT) from error
    except RecursionError as error:
        raise _deep() from error
    except ValueError as error:
        raise RefusedModel(f"is not JSON: {str(error)[:200]}", do=EXPORT) from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        problem = f"has the name {twice[:80]!a} twice in one object; readers differ on which counts"
        raise RefusedModel(problem, do=HOSTILE)
    return found


def _is_endless(data: bytes) -> bool:
    """Return whether a whole block has no end of a text: a wide letter in it would take four times its memory."""
    texts = data.replace(rb"\"", b"")
    return any(texts.find(b'"', at, at + BLOCK) < 0 for at in range(0, len(texts) - BLOCK, BLOCK))


def _walk(item: Any, place: tuple[str, ...] = ()) -> Iterator[Value]:
    if isinstance(item, dict | list):
        if len(place) == DEPTH:
            raise _deep()
        for name, inner in item.items() if isinstance(item, dict) else ((ITEM, one) for one in item):
            yield from _walk(inner, (*place, name))
    elif max(len(place[-1]), len(item) if isinstance(item, str) else 0) > TEXT:
        raise RefusedModel(f"has a text of more than {TEXT:,} characters", do=HOSTILE)
    else:
        yield Value(place, item)


def _deep() -> RefusedModel:
    return RefusedModel(f"is nested deeper than {DEPTH} levels", do=HOSTILE)
