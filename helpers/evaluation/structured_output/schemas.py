"""JSON schemas: whether one is sound by the draft that it names, what a server may make of it, and what it accepts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from jsonschema.exceptions import SchemaError
from jsonschema.protocols import Validator
from jsonschema.validators import Draft202012Validator, validator_for
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

Schema = Mapping[str, Any]
ONE = ("items", "additionalProperties", "additionalItems", "contains", "not", "if", "then", "else", "propertyNames")
SEVERAL = ("items", "prefixItems", "anyOf", "oneOf", "allOf")
NAMED = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")
LOOK_AROUND = re.compile(r"\(\?<?[=!]")
ENDLESS = re.compile(r"[*+]|\{\d+,\}")  # a pattern that any length may match
BOUNDS = ("maxLength", "enum", "const", "format")
DOUBTS = {
    "maxLength": "strings without maxLength, which a model may fill until MAX_TOKENS",
    "maxItems": "arrays without maxItems, which a model may fill until MAX_TOKENS",
    "additionalProperties": "objects without additionalProperties: false, which take any further field",
    "pattern": "patterns with a look-ahead or look-behind, which vLLM ignores",
}


def check(schema: Schema) -> None:
    """Raise ValueError for what is no schema of its draft, names an unknown draft, or refers to what is not in it."""
    kind = _draft(schema)
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        place = "/".join(map(str, error.absolute_path)) or "the schema"
        raise ValueError(f"is no valid JSON Schema by {kind.__name__}: {place}: {error.message}") from error
    resolver = Registry().with_resource("", Resource.from_contents(schema, DRAFT202012)).resolver()
    for _, part in walk(schema):
        try:
            resolver.lookup(part.get("$ref", ""))
        except Unresolvable as error:
            raise ValueError(f"refers to {part['$ref']}, which is not in it") from error


def _draft(schema: Schema) -> type[Validator]:
    named = validator_for(schema, default=None)
    if named is None and "$schema" in schema:
        raise ValueError(f"names the draft {schema['$schema']}, which jsonschema does not know")
    return named or Draft202012Validator


def validator(schema: Schema) -> Validator:
    """Return what judges values by the draft that the schema names, formats included; it fetches nothing."""
    return _validator(json.dumps(schema))


@lru_cache(maxsize=4096)
def _validator(text: str) -> Validator:
    schema = json.loads(text)
    kind = _draft(schema)
    return kind(schema, format_checker=kind.FORMAT_CHECKER, registry=Registry())


def walk(schema: Any, place: str = "") -> Iterator[tuple[str, Schema]]:
    """Yield the schema and each one within it, with its place in what it describes."""
    if not isinstance(schema, Mapping):
        return
    yield place or "/", schema
    for key in ONE:
        yield from walk(schema.get(key), f"{place}/*" if key == "items" else place)
    for key in SEVERAL:
        for part in schema[key] if isinstance(schema.get(key), Sequence) else ():
            yield from walk(part, place)
    for key in NAMED:
        for name, part in schema.get(key, {}).items():
            yield from walk(part, f"{place}/{name}")


def doubts(schema: Schema) -> Iterator[tuple[str, str]]:
    """Yield which of DOUBTS there are, each with its place."""
    for place, part in walk(schema):
        kinds = part.get("type", ())
        kinds, pattern = [kinds] if isinstance(kinds, str) else kinds, part.get("pattern", "")
        bounded = any(key in part for key in BOUNDS) or (pattern and not ENDLESS.search(pattern))
        found = {
            "maxLength": "string" in kinds and not bounded,
            "maxItems": "array" in kinds and "maxItems" not in part,
            "additionalProperties": "object" in kinds and part.get("additionalProperties", True) is not False,
            "pattern": bool(LOOK_AROUND.search(pattern)),
        }
        yield from ((name, place) for name, there in found.items() if there)


def path(name: str) -> list[str]:
    """Return the steps of a JSON pointer (RFC 6901), or of a top-level name."""
    parts = name.split("/")[1:] if name.startswith("/") else [name]
    return [part.replace("~1", "/").replace("~0", "~") for part in parts]


def allowed(schema: Schema, name: str, value: Any) -> str:
    """Return why an answer cannot hold the value at `name`, "" where it can or that is not easily told."""
    whole, found = validator(schema), schema
    for step in path(name):
        if found.get("additionalProperties") is False and step not in found.get("properties", {}):
            return f"the schema has no {name}"
        inner = found.get("properties", {}).get(step) or found.get("items")
        if not isinstance(inner, Mapping) or "$ref" in inner:
            return ""
        found = inner
    error = next(whole.evolve(schema=found).iter_errors(value), None)
    return f"the schema does not allow {name}: {error.message}" if error else ""
