"""What a model's files say of themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from helpers.errors import InvalidInput


def size_bytes(folder: Path) -> int:
    """Return the size of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def parameter_count(folder: Path) -> int:
    """Return the number of weights in all safetensors files."""
    import math

    from safetensors import safe_open

    total = 0
    for path in sorted(folder.rglob("*.safetensors")):
        with safe_open(path, framework="np") as file:
            total += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return total


def model_card(folder: Path) -> dict[str, Any]:
    """Return the YAML front matter of the model card (README.md), empty where there is none."""
    import yaml

    path = folder / "README.md"
    if not path.is_file():
        return {}
    try:
        text = path.read_text(encoding="utf-8")
        front = yaml.safe_load(text[4:].split("\n---", 1)[0]) if text.startswith("---\n") else {}
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"{path} has front matter that is not YAML: {error}", do="Repair the model card") from error
    return front if isinstance(front, dict) else {}
