"""Whether a body agrees with the models of kfp-server-api, which are made from the server's own API definition."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import kfp_server_api

PRIMITIVE = {"str": str, "int": (int, str), "bool": bool, "datetime": str}


def conforms(content: Any, kind: str, path: str = "") -> Iterator[str]:
    """Yield where `content` is not what the model of that name says: unknown fields, wrong types, unknown values."""
    if match := re.fullmatch(r"(list|dict)\((?:str, )?(\w+)\)|list\[(\w+)\]", kind):
        items = content.items() if isinstance(content, dict) else enumerate(content)
        for key, item in items:
            yield from conforms(item, match[2] or match[3], f"{path}.{key}")
        return
    if kind == "object":
        return
    if kind in PRIMITIVE:
        if content is not None and not isinstance(content, PRIMITIVE[kind]):
            yield f"{path} is {type(content).__name__}, not {kind}"
        return
    model = getattr(kfp_server_api, kind)
    if not isinstance(content, dict):
        allowed = [value for name, value in vars(model).items() if name.isupper()]
        if content not in allowed:
            yield f"{path} is {content!r}, not one of {kind}"
        return
    names = {there: here for here, there in model.attribute_map.items()}
    for key, value in content.items():
        if key not in names:
            yield f"{path}.{key} is no field of {kind}"
        else:
            yield from conforms(value, model.openapi_types[names[key]], f"{path}.{key}")
