"""The digest that a model is known by: that of a manifest which `sha256sum --check` understands."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from helpers.errors import InvalidInput
from helpers.ingestion.copying import copy_hashed, hash_folder

__all__ = [
    "MANIFEST", "PROVENANCE", "copy_hashed", "digest", "digest_of", "hash_folder", "manifest", "manifest_of",
    "model_files", "parse_manifest",
]  # fmt: skip

MANIFEST = "SHA256SUMS"
PROVENANCE = "provenance"
HEX = frozenset("0123456789abcdef")


def manifest_of(sums: Mapping[str, str]) -> str:
    """Return SHA-256 and path of every file, sorted by path, as `sha256sum` does. Raises InvalidInput for odd paths."""
    for name in sums:
        if not _is_plain(name):
            raise InvalidInput(f"{name!r:.200} is not a plain relative path", do="Rename the file")
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))


def digest_of(sums: Mapping[str, str]) -> str:
    """Return `sha256:` and the SHA-256 of the manifest: one digest for the whole model."""
    return "sha256:" + hashlib.sha256(manifest_of(sums).encode()).hexdigest()


def parse_manifest(text: str) -> dict[str, str]:
    """Return the SHA-256 of every path. Raises InvalidInput with the line that `manifest_of` would not have written."""
    *lines, rest = text.split("\n")
    if rest or not lines:
        raise _malformed(len(lines) + 1, "does not end in a newline")
    sums: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        value, blanks, name = line[:64], line[64:66], line[66:]
        if len(value) != 64 or not HEX.issuperset(value) or blanks != "  ":
            raise _malformed(number, "does not begin with 64 lower-case hexadecimal digits and two blanks")
        if not _is_plain(name):
            raise _malformed(number, f"has the path {name!r:.200}, which is not a plain relative path")
        if sums and name <= next(reversed(sums)):
            raise _malformed(number, f"has the path {name!r:.200} twice or out of order")
        sums[name] = value
    return sums


def _is_plain(name: str) -> bool:
    return name.isprintable() and "\\" not in name and not {"", ".", ".."}.intersection(name.split("/"))


def _malformed(line: int, problem: str) -> InvalidInput:
    return InvalidInput(f"{MANIFEST}:{line} {problem}", do="Ingest the model again")


def manifest(folder: Path) -> str:
    """Return the manifest of a model folder; what lies in `provenance/` is not part of the model."""
    return manifest_of(model_files(hash_folder(folder)))


def digest(folder: Path) -> str:
    """Return the digest of a model folder."""
    return digest_of(model_files(hash_folder(folder)))


def model_files(sums: Mapping[str, str]) -> dict[str, str]:
    """Return the files that are the model, without its provenance."""
    return {name: value for name, value in sums.items() if not name.startswith(f"{PROVENANCE}/")}
