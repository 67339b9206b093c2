"""Custom properties: what is taken, and how it is shown again."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable
from typing import Any

from helpers.local.registry.errors import bad_request, too_long
from helpers.local.registry.names import fold

INT32 = range(-(2**31), 2**31)


def refuse_constant(name: str) -> Any:
    """Refuse NaN and the infinities, which Python's parser takes for numbers."""
    raise ValueError(f"{name} is not a JSON number")


def read_properties(given: Any) -> dict[str, Any]:
    """Return the properties to keep; of keys that differ in case or accents only the first stays, with the last value.

    Raises 400 for a value that does not fit its metadataType, and 500 for a key over 255 characters.
    """
    if not isinstance(given, dict):
        raise bad_request("json: cannot unmarshal customProperties into an object")
    kept: dict[str, Any] = {}
    spellings: dict[str, str] = {}
    for key, value in given.items():
        if len(key) > 255:
            raise too_long("name")
        kept[spellings.setdefault(fold(key), key)] = _read(key, value)
    return kept


def show_properties(kept: dict[str, Any]) -> dict[str, Any]:
    """Return the properties as clients read them: a whole number has no decimals, whatever its type."""
    return {key: {name: plain(value) for name, value in item.items()} for key, item in kept.items()}


def plain(value: Any) -> Any:
    """Return a whole float as an integer, as Go writes it."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e21 else value


def _read(key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict | None):
        raise bad_request("failed to unmarshal JSON into map for the discriminator lookup")
    item = value or {}
    kind = item.get("metadataType")
    if not isinstance(kind, str) or kind not in KINDS:
        raise bad_request(f"error setting field CustomProperties: metadataType not found for {key}")
    field, read = KINDS[kind]
    try:
        return {field: read(item.get(field)), "metadataType": kind}
    except (ValueError, OverflowError, RecursionError) as error:
        raise bad_request(f"error setting field CustomProperties: {error} for key {key}: bad request") from error


def _text(value: Any) -> str:
    if not isinstance(value, str | None):
        raise ValueError("json: cannot unmarshal into a field of type string")
    return value or ""


def _flag(value: Any) -> bool:
    if not isinstance(value, bool | None):
        raise ValueError("json: cannot unmarshal into a field of type bool")
    return bool(value)


def _whole(value: Any) -> str:
    text = _text(value)
    if not re.fullmatch(r"[+-]?0*[0-9]{1,10}", text) or int(text) not in INT32:
        raise ValueError(f"unable to decode as int64 invalid numeric string: {text[:40]!r}")
    return str(int(text))


def _real(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | None):
        raise ValueError("json: cannot unmarshal into a field of type float64")
    if not math.isfinite(number := float(value or 0)):
        raise ValueError("json: cannot unmarshal a number that is not finite")
    return number


def _struct(value: Any) -> str:
    """Take base64 of a JSON object, and keep the JSON: the real server does not encode it again when it is read."""
    try:
        content = json.loads(base64.b64decode(_text(value), validate=True), parse_constant=refuse_constant)
    except binascii.Error as error:
        raise ValueError("unable to decode illegal base64 data") from error
    if not isinstance(content, dict):
        raise ValueError("unable to decode proto: syntax error: not an object")
    return json.dumps(_plain_all(content), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _plain_all(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain_all(item) for key, item in value.items()}
    return [_plain_all(item) for item in value] if isinstance(value, list) else plain(value)


KINDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "MetadataStringValue": ("string_value", _text),
    "MetadataIntValue": ("int_value", _whole),
    "MetadataDoubleValue": ("double_value", _real),
    "MetadataBoolValue": ("bool_value", _flag),
    "MetadataStructValue": ("struct_value", _struct),
}
