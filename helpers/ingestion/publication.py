"""Put a sealed model into the store, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from helpers import storage
from helpers.errors import InvalidInput
from helpers.ingestion.digests import MANIFEST, manifest


def publish(folder: Path, store: str, name: str, version: str) -> str:
    """Copy the folder to `models/<name>/<version>` in the store and return that URI; the manifest is written last.

    The same content again changes nothing; other content under the same version raises InvalidInput.
    """
    uri = f"{store}/models/{name}/{version}"
    sums = manifest(folder)
    if storage.exists(f"{uri}/{MANIFEST}"):
        if storage.get(f"{uri}/{MANIFEST}").decode() != sums:
            raise InvalidInput(
                f"{name} {version} is in the store with other content", do="Give MODEL_VERSION a new value"
            )
        return uri
    for line in sums.splitlines():
        file = line.split("  ", 1)[1]
        storage.put(folder / file, f"{uri}/{file}")
    storage.put(sums.encode(), f"{uri}/{MANIFEST}")
    return uri
