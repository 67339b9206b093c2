"""The digest of a file or folder of data."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from helpers.errors import InvalidDataset

CACHES = {"__pycache__"}


def digest(path: Path) -> str:
    """Return `sha256:…` over a file's bytes, or over the names and digests of a folder's files (caches left out)."""
    if path.is_file():
        return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    if not path.is_dir():
        raise missing(path)
    listing = "".join(f"{file.relative_to(path).as_posix()}\0{digest(file)}\n" for file in sorted(files(path)))
    return f"sha256:{hashlib.sha256(listing.encode()).hexdigest()}"


def files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, caches and hidden folders left out, in an order of their own."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in CACHES and not name.startswith("."))
        yield from (path for name in sorted(names) if (path := Path(place, name)).is_file())


def missing(path: Path) -> InvalidDataset:
    """Return the error for a file or folder that is not there."""
    return InvalidDataset(f"{path} is not there", do="Check the path, or restore the file from the repository")
