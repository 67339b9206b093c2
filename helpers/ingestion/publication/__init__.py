"""Put a sealed model into the store: afterwards it is there as it was signed, or it cannot be seen."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from helpers import storage
from helpers.ingestion.publication.bucket import publish_objects
from helpers.ingestion.publication.shelf import publish_folder
from helpers.ingestion.sealing import Package
from helpers.storage import checksums


def kept(folder: Path, sums: Mapping[str, str], store: str) -> dict[str, Any]:
    """Return by which digests the store will keep files with these SHA-256, as far as those do not say it.

    For a registry of images the names of the files in each layer, by the layer's digest; for a bucket the checksum of
    each file that comes in parts. It is signed, so that the files need not be read again. Raises InvalidInput for a
    file that changed.
    """
    scheme = urlparse(store).scheme
    if scheme == "oci":
        from helpers.ingestion.publication.layers import model_layers

        return {layer.digest: list(layer.names) for layer in model_layers(folder, sums)}
    large = [name for name in sums if scheme == "s3" and (folder / name).stat().st_size > storage.PART]
    with ThreadPoolExecutor(2) as threads:
        return dict(zip(large, threads.map(lambda name: checksums.of_parts(folder / name), large), strict=True))


def publish(package: Package, store: str) -> str:
    """Publish a sealed model as `models/<digest>` in a store, or as an image in a registry, and return its URI.

    Content that is there already is recognized by its digest: only what is missing or damaged is written, and a new
    provenance where today's policy does not trust the one that is there. In a store of files on the file system of
    the quarantine, the package's folder itself becomes the published one.

    Raises StoreFailed or StoreUnreachable with the address, InvalidInput for a file that changed since it was signed.
    """
    if urlparse(store).scheme == "oci":
        from helpers.ingestion.publication.modelcar import publish_image

        return publish_image(package, store)
    uri = f"{store}/models/{package.digest.removeprefix('sha256:')}"
    if folder := storage.local_path(uri):
        publish_folder(package, folder)
    else:
        publish_objects(package, uri)
    return uri
