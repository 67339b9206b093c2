"""Request bodies, read and refused as the real server does on MySQL, by the client's own schemas."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import mr_openapi
from pydantic import BaseModel, ValidationError

COMPUTED = ("createTimeSinceEpoch", "lastUpdateTimeSinceEpoch", "experimentId", "experimentRunId", "artifactType")
PACKET = 2**24  # bytes: MySQL's max_allowed_packet
INT32 = range(-(2**31), 2**31)


class ApiError(Exception):
    """A refused request: HTTP status and the message of the error body."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def bad_request(message: str) -> ApiError:
    """Return the error for a request that cannot be understood."""
    return ApiError(HTTPStatus.BAD_REQUEST, message)


def too_long(column: str) -> ApiError:
    """Return the error for a text that MySQL's column does not hold; the real server calls it an internal one."""
    message = f"error saving: Error 1406 (22001): Data too long for column '{column}' at row 1"
    return ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, message)


def too_large() -> ApiError:
    """Return the error for a body that MySQL does not take."""
    return ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "Got a packet bigger than 'max_allowed_packet' bytes")


@lru_cache(maxsize=4096)
def fold(text: str) -> str:
    """Return the text without case and accents: equal results are one name for MySQL."""
    plain_text = unicodedata.normalize("NFKD", text).casefold()
    return "".join(letter for letter in plain_text if not unicodedata.combining(letter))


@dataclass(frozen=True)
class Resource:
    """One kind of thing: its table, its schemas and the state it has unless told otherwise."""

    kind: str
    label: str
    table: str
    create: type[BaseModel]
    update: type[BaseModel]
    default_state: str

    @property
    def path(self) -> str:
        """The name of one in a path; that of the collection has an s."""
        return self.label.replace(" ", "_")


def _resource(kind: str, label: str, table: str, schema: str, state: str) -> Resource:
    create, update = (getattr(mr_openapi, f"{schema}{suffix}") for suffix in ("Create", "Update"))
    return Resource(kind, label, table, create, update, state)


MODEL = _resource("model", "registered model", "context", "RegisteredModel", "LIVE")
VERSION = _resource("version", "model version", "context", "ModelVersion", "LIVE")
MODEL_ARTIFACT = _resource("model-artifact", "model artifact", "artifact", "ModelArtifact", "UNKNOWN")
DOC_ARTIFACT = _resource("doc-artifact", "doc artifact", "artifact", "DocArtifact", "UNKNOWN")
ARTIFACTS = {resource.kind: resource for resource in (MODEL_ARTIFACT, DOC_ARTIFACT)}


def parse_id(text: str, what: str = "invalid numeric string") -> int:
    """Return an int32; raises 400."""
    if not re.fullmatch(r"[+-]?[0-9]{1,19}", text) or int(text) not in INT32:
        raise bad_request(f"{what}: strconv.ParseInt: parsing {json.dumps(text)}: bad request")
    return int(text)


def parse(raw: bytes) -> dict[str, Any]:
    """Return the JSON object that `raw` is; none is {}."""
    if b"\x00" in raw or b"\\u0000" in raw:
        raise bad_request("Request body contains null bytes which are not allowed")
    if len(raw) > PACKET:
        raise too_large()
    try:
        body = json.loads(raw.decode(), parse_constant=_refuse_constant)
        json.dumps(body, ensure_ascii=False).encode()  # raises for half a character
    except (ValueError, RecursionError) as error:
        raise bad_request(f"invalid JSON body: {error}") from error
    if body is not None and not isinstance(body, dict):
        raise bad_request("the body must be a JSON object")
    return body or {}


def _refuse_constant(name: str) -> Any:
    """Refuse NaN and the infinities, which Python's parser takes for numbers."""
    raise ValueError(f"{name} is not a JSON number")


def validate(
    schema: type[BaseModel], body: dict[str, Any], *, state: str | None = None, strict: bool = True
) -> dict[str, Any]:
    """Return what a client may set: 400 for wrong types and, if strict, unknown fields; 422 for what is required.

    `state` is the state of a body that has none; a null stands for a field that is left as it is.
    """
    known = {field.alias or name: field for name, field in schema.model_fields.items()}
    if strict and (unknown := [name for name in body if name not in known]):
        raise bad_request(f'json: unknown field "{unknown[0]}"')
    fields = {"state": state} | {name: value for name, value in body.items() if name in known}
    for name, field in known.items():
        if field.is_required() and fields.get(name) in (None, ""):
            raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, f"required field '{name}' is zero value.")
    properties = fields.pop("customProperties", None)
    try:
        schema.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise bad_request(f"field {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    if properties is not None:
        fields["customProperties"] = _properties(properties)
    if len(fields.get("externalId") or "") > 255:
        raise too_long("external_id")
    if len((fields.get("uri") or "").encode()) > 65535:
        raise too_long("uri")
    return {name: value for name, value in fields.items() if value is not None and name not in COMPUTED}


def _properties(given: Any) -> dict[str, Any]:
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
        kept[spellings.setdefault(fold(key), key)] = _property(key, value)
    return kept


def plain(value: Any) -> Any:
    """Return JSON as clients read it: a whole number has no decimals, whatever its type, as Go writes it."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e21 else value


def _property(key: str, value: Any) -> dict[str, Any]:
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
        content = json.loads(base64.b64decode(_text(value), validate=True), parse_constant=_refuse_constant)
    except binascii.Error as error:
        raise ValueError("unable to decode illegal base64 data") from error
    if not isinstance(content, dict):
        raise ValueError("unable to decode proto: syntax error: not an object")
    return json.dumps(plain(content), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


KINDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "MetadataStringValue": ("string_value", _text),
    "MetadataIntValue": ("int_value", _whole),
    "MetadataDoubleValue": ("double_value", _real),
    "MetadataBoolValue": ("bool_value", _flag),
    "MetadataStructValue": ("struct_value", _struct),
}
