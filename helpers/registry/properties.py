"""Custom properties: what the registry can hold, and how it writes it in JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from helpers.errors import InvalidInput

Property = str | int | float | bool
LARGEST_INT = 999_999_999  # the client's schema takes nine digits


def storable(properties: Mapping[str, Any]) -> dict[str, Property]:
    """Return the properties with each value in a type that survives; raises InvalidInput for NaN and infinities."""
    return {name: _storable(name, value) for name, value in properties.items()}


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
    return value


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


def decode(properties: Mapping[str, Mapping[str, Any]] | None) -> dict[str, Property]:
    """Return the REST interface's properties as plain values; structs are left out."""
    readers = {"int_value": int, "double_value": float, "bool_value": bool, "string_value": str}
    plain: dict[str, Property] = {}
    for name, value in (properties or {}).items():
        for field, reader in readers.items():
            if field in value:
                plain[name] = reader(value[field])
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
