"""Request bodies, read as the real server reads them: the first JSON value, and what makes no sense is refused."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ValidationError

from helpers.local.registry.errors import ApiError, bad_request, too_long
from helpers.local.registry.properties import read_properties, refuse_constant
from helpers.local.registry.resources import COMPUTED, field_names, required_names

PACKET = 2**24  # bytes: MySQL's max_allowed_packet
DECODER = json.JSONDecoder(parse_constant=refuse_constant)


def parse(raw: bytes) -> dict[str, Any]:
    """Return the JSON object that `raw` begins with; what follows is ignored, bytes that are no UTF-8 are replaced."""
    if b"\x00" in raw or b"\\u0000" in raw:
        raise bad_request("Request body contains null bytes which are not allowed")
    if len(raw) > PACKET:
        raise ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "Got a packet bigger than 'max_allowed_packet' bytes")
    try:
        body, _ = DECODER.raw_decode(raw.decode(errors="replace").lstrip(" \t\r\n"))
        if b"\\ud" in raw.lower():  # half a character, unless two halves made a whole one
            body = json.loads(re.sub("[\ud800-\udfff]", "\ufffd", json.dumps(body, ensure_ascii=False)))
    except (ValueError, RecursionError) as error:
        raise bad_request(f"invalid JSON body: {error}") from error
    if body is not None and not isinstance(body, dict):
        raise bad_request("the body must be a JSON object")
    return body or {}


def validate(
    schema: type[BaseModel], body: dict[str, Any], *, state: str | None = None, strict: bool = True
) -> dict[str, Any]:
    """Return what a client may set: 400 for wrong types and, if strict, unknown fields; 422 for what is required.

    `state` is the state of a body that has none; a null stands for a field that is left as it is.
    """
    names = field_names(schema)
    fields: dict[str, Any] = {"state": state}
    for name, value in body.items():
        if name.lower() in names:
            fields[names[name.lower()]] = value
        elif strict:
            raise bad_request(f'json: unknown field "{name}"')
    for name in required_names(schema):
        if fields.get(name) in (None, ""):
            raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, f"required field '{name}' is zero value.")
    properties = fields.pop("customProperties", None)
    try:
        schema.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise bad_request(f"field {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    if properties is not None:
        fields["customProperties"] = read_properties(properties)
    _refuse_long(fields)
    return {name: value for name, value in fields.items() if value is not None and name not in COMPUTED}


def _refuse_long(fields: dict[str, Any]) -> None:
    if len(fields.get("externalId") or "") > 255:
        raise too_long("external_id")
    if len((fields.get("uri") or "").encode()) > 65535:
        raise too_long("uri")
