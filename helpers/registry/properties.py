"""Custom properties: what every registry can hold, and how it writes it in JSON.

Its database may be MySQL, for which names that differ in case or accents are the same, or one that keeps only Latin-1.
"""

from __future__ import annotations

import base64
import json
import math
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from helpers.errors import InvalidInput

Property = str | int | float | bool
LARGEST_INT = 999_999_999  # the platform's own client reads nine digits
LONGEST_NAME = 240  # the server keeps 255 characters, of "<id>:<name>" for versions and documents
LONGEST_URI = 60_000  # bytes; the server keeps 65,535
NUL = "\\u0000"  # the server looks for it in the body as it is written, and finds the mere text too
PLAIN = str.maketrans(
    {
        "\N{LESS-THAN OR EQUAL TO}": "<=",
        "\N{GREATER-THAN OR EQUAL TO}": ">=",
        "\N{PLUS-MINUS SIGN}": "+/-",
        "\N{MULTIPLICATION SIGN}": "x",
        "\N{MINUS SIGN}": "-",
        "\N{EN DASH}": "-",
        "\N{EM DASH}": "-",
        "\N{RIGHTWARDS ARROW}": "->",
        "\N{LEFT SINGLE QUOTATION MARK}": "'",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{LEFT DOUBLE QUOTATION MARK}": '"',
        "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
        "\N{DOUBLE LOW-9 QUOTATION MARK}": '"',
        "\N{MICRO SIGN}": "u",
        "\N{LATIN SMALL LETTER SHARP S}": "ss",
    }
)


@lru_cache(4096)
def folded(name: str) -> str:
    """Return a name as MySQL compares it: without case and accents."""
    split = unicodedata.normalize("NFKD", name.casefold())
    return "".join(letter for letter in split if not unicodedata.combining(letter))


def ascii_text(text: str) -> str:
    """Return a text in ASCII: signs and accented letters in their plain form, all else as \\uXXXX."""
    plain = unicodedata.normalize("NFKD", text.translate(PLAIN))
    kept = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return kept.encode("ascii", "backslashreplace").decode().replace(NUL, "U+0000")


def bounded(what: str, text: str, longest: int = LONGEST_NAME) -> None:
    """Raise InvalidInput for a name or address that the registry cannot hold."""
    if not 0 < len(text.encode("utf-8", "surrogatepass")) <= longest:
        raise InvalidInput(f"{what} {text[:40]!r} is empty or too long", do=f"Use 1 to {longest:,} bytes")
    if "\x00" in text or NUL in text:
        raise InvalidInput(f"{what} {text[:40]!r} contains a NUL character", do="Remove it")


def storable(properties: Mapping[str, Any]) -> dict[str, Property]:
    """Return the properties with each value in a type that survives, texts in ASCII.

    Raises InvalidInput for NaN, infinities, NUL characters and names that are too long.
    """
    for name in properties:
        bounded("Property", name)
    return {ascii_text(name): _storable(name, value) for name, value in properties.items()}


def _storable(name: str, value: Any) -> Property:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= LARGEST_INT else str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInput(f"Property {name} is {value}, which is no number", do="Leave it out or measure again")
        return value
    if isinstance(value, str):
        return _text(name, value)
    return _text(name, json.dumps(value, default=str))


def _text(name: str, value: str) -> str:
    if "\x00" in value:
        raise InvalidInput(f"Property {name} contains a NUL character", do="Remove it")
    return ascii_text(value)


def encode(properties: Mapping[str, Property]) -> dict[str, dict[str, Any]]:
    """Return the properties as the REST interface writes them."""
    return {name: _encode(value) for name, value in properties.items()}


def _encode(value: Property) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"bool_value": value, "metadataType": "MetadataBoolValue"}
    if isinstance(value, int):
        return {"int_value": str(value), "metadataType": "MetadataIntValue"}
    if isinstance(value, float):
        return {"double_value": value, "metadataType": "MetadataDoubleValue"}
    return {"string_value": value, "metadataType": "MetadataStringValue"}


def sendable(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a property as the registry takes it back: it answers a struct as JSON and wants base64."""
    struct = value.get("struct_value")
    if not isinstance(struct, str) or not struct.lstrip().startswith("{"):
        return value
    return {**value, "struct_value": base64.b64encode(struct.encode()).decode()}


def decode(properties: Mapping[str, Mapping[str, Any]] | None) -> dict[str, Property]:
    """Return the REST interface's properties as plain values under folded names; structs are left out.

    Of several names that fold to the same, the folded spelling counts, which is ours.
    """
    readers = {"int_value": int, "double_value": float, "bool_value": bool, "string_value": str}
    plain: dict[str, Property] = {}
    given = properties or {}
    for name in sorted(given, key=lambda name: name == folded(name)):
        for field, reader in readers.items():
            if field in given[name]:
                plain[folded(name)] = reader(given[name][field])
    return plain


def as_int(value: Property | None) -> int | None:
    """Return a whole number that may have been stored as text, or None."""
    try:
        return None if value is None else int(value)
    except ValueError:
        return None


def as_float(value: Property | None) -> float | None:
    """Return a number, or None where the property is missing or none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
