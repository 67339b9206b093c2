"""Publication as objects: files, documents, and the signature that makes them visible last of all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from helpers import storage
from helpers.errors import InvalidInput, StoreFailed
from helpers.ingestion.sealing import Package, is_sealed
from helpers.ingestion.sealing.signing import SIGNATURE
from helpers.storage import checksums

ATTEMPTS = 10
CHUNK = 1 << 20


def publish_objects(package: Package, uri: str) -> None:
    """Make `uri` the sealed model. Raises StoreFailed, StoreUnreachable, or InvalidInput for a file that changed.

    What an earlier attempt left is kept only if it is right: by the checksum that the store keeps, else it is read.
    """
    sizes = storage.sizes(uri)
    trusted = SIGNATURE in sizes and _is_sealed(package, uri)
    if SIGNATURE in sizes and not trusted:
        storage.delete(f"{uri}/{SIGNATURE}")
    for name in sizes.keys() - package.sums.keys() - {*package.documents, SIGNATURE}:
        storage.delete(f"{uri}/{name}")
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda name: _complete(package, uri, name, sizes.get(name)), package.sums))
    if not trusted:
        _seal(package, uri)


def _is_sealed(package: Package, uri: str) -> bool:
    return is_sealed(lambda name: storage.get(f"{uri}/{name}"), package)


def _complete(package: Package, uri: str, name: str, size: int | None) -> None:
    path, value = package.folder / name, package.sums[name]
    wanted = path.stat().st_size
    if size == wanted:
        known = wanted > storage.SMALL and checksums.kept(f"{uri}/{name}") == package.stored.get(name, value)
        if known or _sha256(f"{uri}/{name}") == value:
            return
    try:
        storage.put(_checked(path, value), f"{uri}/{name}", size=wanted, checked=True)
    except StoreFailed:  # some stores refuse what they do not know: without a checksum the object is read at deployment
        storage.put(_checked(path, value), f"{uri}/{name}", size=wanted)


def _sha256(uri: str) -> str:
    value = hashlib.sha256()
    for data in storage.stream(uri):
        value.update(data)
    return value.hexdigest()


def _checked(path: Path, sha256: str) -> Iterator[bytes]:
    """Return a file piece by piece. Raises InvalidInput at its end, before it can be seen, where it changed."""
    value = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            value.update(data)
            yield data
    if value.hexdigest() != sha256:
        raise InvalidInput(f"{path} changed after it was signed", do="Ingest the model again")


def _seal(package: Package, uri: str) -> None:
    """Write the documents and the signature until they belong together: another process may be at the same model."""
    for _ in range(ATTEMPTS):
        if _is_sealed(package, uri):
            return
        for name in (*package.documents, SIGNATURE):
            storage.put((package.folder / name).read_bytes(), f"{uri}/{name}")
    raise StoreFailed(f"{uri} is not left alone", do="Find out who writes to it, then run this stage again")
