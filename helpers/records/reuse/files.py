"""The raw files that belong to a result: known by their digests, fetched whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from helpers import storage
from helpers.artifacts import FOLDER
from helpers.errors import DigestMismatch, NotFound, StoreFailed

DO_MEASURE = "Measure again"


def digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the sha256 of each file that is there."""
    found = {}
    for name in names:
        if (path := folder / name).is_file():
            with path.open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def fetch(
    wanted: Mapping[str, str],
    raw: Mapping[str, str],
    folder: Path = FOLDER,
    check: Callable[[Path], None] = lambda _: None,
) -> None:
    """Bring each wanted file (name -> sha256) from the store into `folder`, all of them or none.

    `check` looks at the folder in which they arrive. Raises NotFound, DigestMismatch, StoreFailed or StoreUnreachable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".earlier-") as draft:
            for name, digest in wanted.items():
                if name not in raw:
                    raise NotFound(f"The record names no place for {name}", do=DO_MEASURE)
                _download(raw[name], digest, Path(draft, name))
            check(Path(draft))
            for name in wanted:
                os.replace(Path(draft, name), folder / name)
    except OSError as error:
        raise StoreFailed(f"Could not write into {folder}: {error.strerror}", do="Free some space") from error


def _download(uri: str, digest: str, path: Path) -> None:
    found = hashlib.sha256()
    with path.open("wb") as file:
        for piece in storage.stream(uri):
            found.update(piece)
            file.write(piece)
    if found.hexdigest() != digest:
        raise DigestMismatch(f"{uri} is not the file that was recorded", do=DO_MEASURE)
