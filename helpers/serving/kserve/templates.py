"""The templates under runtime-images/vllm/, filled in as parsed YAML: no value can become more than a value."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

from helpers.workspace import ROOT

PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
FOLDER = ROOT / "runtime-images" / "vllm"


def render(template: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return a template's object with every `${name}` replaced by that value; None leaves the field out."""
    import yaml

    filled: dict[str, Any] = _fill(yaml.safe_load(_text(f"{template}.yaml")), values)
    return filled


def _text(name: str) -> str:
    """Read a template from the repository, or from the installed package, which a pod has alone."""
    path = FOLDER / name
    packaged = files("helpers.serving.kserve") / "templates" / name
    return path.read_text("utf-8") if path.is_file() else packaged.read_text("utf-8")


def _fill(node: Any, values: dict[str, Any]) -> Any:
    if isinstance(node, dict):
        filled = {key: _fill(value, values) for key, value in node.items()}
        return {key: value for key, value in filled.items() if value is not None}
    if isinstance(node, list):
        return [_fill(item, values) for item in node]
    if isinstance(node, str) and (found := PLACEHOLDER.fullmatch(node)):
        return values[found[1]]
    return node
