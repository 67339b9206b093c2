"""BFCL's function definitions as servers read them: JSON Schema's type names, and no dots in names."""

from __future__ import annotations

from typing import Any

TYPES = {"dict": "object", "float": "number", "tuple": "array"}
ANY = "any"  # has no name in JSON Schema: a schema without a type


def translated(schema: Any) -> Any:
    """Return the schema with every type as JSON Schema names it; what is JSON Schema already stays as it is."""
    if isinstance(schema, list):
        return [translated(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _named(value) if key == "properties" else translated(value) for key, value in schema.items()}
    if isinstance(kind := found.get("type"), str):
        found["type"] = TYPES.get(kind, kind)
        if kind == ANY:
            del found["type"]
    return found


def _named(properties: Any) -> Any:
    """Translate each property; one that is called `type` is none."""
    if not isinstance(properties, dict):
        return properties
    return {name: translated(schema) for name, schema in properties.items()}


def callable_name(name: str) -> str:
    """Return a function's name as the API allows it."""
    return name.replace(".", "_")
