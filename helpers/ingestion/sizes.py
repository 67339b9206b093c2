"""How large a model is."""

from __future__ import annotations

from pathlib import Path


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
