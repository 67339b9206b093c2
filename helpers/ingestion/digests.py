"""The digest that a model is known by, and what its files say of themselves."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from helpers.errors import InvalidInput
from helpers.ingestion.inspection import WEIGHTS

MANIFEST = "SHA256SUMS"


def manifest(folder: Path) -> str:
    """Return SHA-256 and relative path of every file, sorted by path, in the format of `sha256sum`."""
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return "".join(f"{_sha256(folder / name)}  {name}\n" for name in files if name != MANIFEST)


def digest(folder: Path) -> str:
    """Return `sha256:` and the SHA-256 of the folder's manifest: one digest for the whole model."""
    return "sha256:" + hashlib.sha256(manifest(folder).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_bytes(folder: Path) -> int:
    """Return the size of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def parameter_count(folder: Path) -> int:
    """Return the number of weights in all safetensors files."""
    import math

    from safetensors import safe_open

    total = 0
    for path in sorted(folder.rglob(f"*{WEIGHTS}")):
        with safe_open(path, framework="np") as file:
            total += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return total


def model_card(folder: Path) -> dict[str, Any]:
    """Return the YAML front matter of the model card (README.md), empty where there is none."""
    import yaml

    path = folder / "README.md"
    if not path.is_file() or not (text := path.read_text(encoding="utf-8")).startswith("---\n"):
        return {}
    try:
        front = yaml.safe_load(text[4:].split("\n---", 1)[0])
    except yaml.YAMLError as error:
        raise InvalidInput(f"{path} has front matter that is not YAML: {error}", do="Repair the model card") from error
    return front if isinstance(front, dict) else {}
