"""Request bodies are checked before the schemas see them: the schemas drop unknown fields and add defaults."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import mr_openapi
from pydantic import BaseModel, ValidationError

from helpers.local.registry.errors import ApiError, bad_request
from helpers.local.registry.resources import field_names, required_names

INT32 = range(-(2**31), 2**31)
PROPERTY_TYPES: dict[str, type[BaseModel]] = {
    "MetadataStringValue": mr_openapi.MetadataStringValue,
    "MetadataDoubleValue": mr_openapi.MetadataDoubleValue,
    "MetadataBoolValue": mr_openapi.MetadataBoolValue,
    "MetadataStructValue": mr_openapi.MetadataStructValue,
}


def parse(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in `raw` without its nulls; NaN, infinities, NUL bytes and lone surrogates are refused."""
    try:
        body = json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise bad_request(f"invalid JSON body: {error}") from error
    if not isinstance(body, dict):
        raise bad_request("the body must be a JSON object")
    if any(re.search("[\x00\ud800-\udfff]", text) for text in _strings(body)):
        raise bad_request("the body contains a NUL byte or half a character")
    return {name: value for name, value in body.items() if value is not None}


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def validate(schema: type[BaseModel], body: dict[str, Any]) -> dict[str, Any]:
    """Return `body` if it fits the schema: 400 for unknown fields and wrong types, 422 for missing required ones."""
    for name in body:
        if name not in field_names(schema):
            raise bad_request(f'json: unknown field "{name}"')
    for name in required_names(schema):
        if body.get(name) in (None, ""):
            raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, f"required field '{name}' is zero value.")
    _validate_properties(body.get("customProperties", {}))
    try:
        schema.model_validate({name: value for name, value in body.items() if name != "customProperties"})
    except ValidationError as error:
        first = error.errors()[0]
        raise bad_request(f"field {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    return body


def _validate_properties(properties: Any) -> None:
    if not isinstance(properties, dict):
        raise bad_request("customProperties must be an object")
    for name, value in properties.items():
        if not isinstance(value, dict) or "metadataType" not in value:
            raise bad_request(f"customProperties[{name}] has no metadataType")
        _validate_property(name, value)


def _validate_property(name: str, value: dict[str, Any]) -> None:
    kind = value["metadataType"]
    if kind == "MetadataIntValue":
        _validate_int(name, value)
        return
    schema = PROPERTY_TYPES.get(kind) if isinstance(kind, str) else None
    if schema is None:
        raise bad_request(f"customProperties[{name}]: unsupported metadataType {kind}")
    _refuse_unknown(name, set(value), field_names(schema))
    try:
        schema.model_validate(value)
    except ValidationError as error:
        raise bad_request(f"customProperties[{name}]: {error.errors()[0]['msg']}") from error
    if not _finite(value.get("double_value", 0)):
        raise bad_request(f"customProperties[{name}]: not a finite number")


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _validate_int(name: str, value: dict[str, Any]) -> None:
    # The client's schema stops at nine digits; the real server takes all of int32.
    _refuse_unknown(name, set(value), frozenset({"int_value", "metadataType"}))
    text = value.get("int_value")
    if not isinstance(text, str) or not re.fullmatch(r"-?[0-9]{1,10}", text) or int(text) not in INT32:
        raise bad_request(f"customProperties[{name}]: int_value must be an int32 written as a string")


def _refuse_unknown(name: str, given: set[str], known: frozenset[str]) -> None:
    if unknown := sorted(given - known):
        raise bad_request(f'customProperties[{name}]: json: unknown field "{unknown[0]}"')
