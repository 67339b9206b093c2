"""Publication as a modelcar: an image with the model under /models, which KServe mounts and starts as a sidecar.

As a sidecar the image has to run `sh`, `ln` and `sleep`, so the layers go on top of the base that OpenShift AI
documents, or the one that OCI_BASE_IMAGE names, for every platform that it has. `scratch` is no base at all, enough
where the cluster mounts images as volumes.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from typing import Any

from helpers.errors import NotFound
from helpers.ingestion.publication.base_image import Image, images
from helpers.ingestion.publication.layers import Layer, layer, model_layers, unpack
from helpers.ingestion.publication.repository import Repository, digest_of
from helpers.ingestion.sealing import Package, is_sealed
from helpers.ingestion.sealing.signing import SIGNATURE

INDEX, MANIFEST = "application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
BASE, DEFAULT_BASE = "OCI_BASE_IMAGE", "registry.access.redhat.com/ubi9/ubi-micro:latest"


def publish_image(package: Package, store: str) -> str:
    """Push the image, its tag last of all, and return its URI by digest. Blobs that are there are not pushed again.

    Raises StoreFailed, StoreUnreachable, or InvalidInput for a file that changed since it was signed.
    """
    tag = package.digest.removeprefix("sha256:")
    known = [Layer(package.folder, tuple(names), digest, package.sums) for digest, names in package.stored.items()]
    layers = known or model_layers(package.folder, package.sums)
    with Repository.of(store, tag) as repository:
        if found := _published(repository, tag, layers, package):
            return f"{store}@{found}"
        layers.append(_provenance(package))
        for item in layers:
            repository.put_blob(item.digest, item.size, item.chunks)
        base = os.environ.get(BASE) or DEFAULT_BASE
        manifests = [(_push(repository, image, layers), image.platform) for image in images(base, repository)]
        return f"{store}@{_tag(repository, tag, manifests)}"


def _provenance(package: Package) -> Layer:
    names = (*package.documents, SIGNATURE)
    sums = {name: hashlib.sha256((package.folder / name).read_bytes()).hexdigest() for name in names}
    return layer(package.folder, names, sums)


def _published(repository: Repository, tag: str, layers: list[Layer], package: Package) -> str | None:
    """Return the digest of the image that is there, if it has these layers and a provenance that is trusted."""
    if not (found := repository.image(tag)):
        return None
    digest, content = found
    try:
        for item in content.get("manifests", [])[:1]:
            _, content = repository.image(item["digest"]) or ("", {})
        *_, last = content["layers"]
        files = unpack(repository.small_blob(last["digest"]))
        whole = {item.digest for item in layers} <= {item["digest"] for item in content["layers"]}
        here = all(repository.has_blob(item["digest"]) for item in content["layers"])
    except (KeyError, TypeError, ValueError, NotFound, tarfile.TarError):
        return None
    return digest if whole and here and is_sealed(files.__getitem__, package) else None


def _push(repository: Repository, image: Image, layers: list[Layer]) -> bytes:
    """Push an image's configuration and return its manifest, with the model's layers on top."""
    config = {**image.config, "rootfs": {**image.config["rootfs"]}}
    config["rootfs"]["diff_ids"] = [*config["rootfs"].get("diff_ids", []), *(item.digest for item in layers)]
    config["history"] = [*config.get("history", []), *({"created_by": f"model {item.label}"} for item in layers)]
    data = encoded(config)
    repository.put_blob(digest_of(data), len(data), lambda: iter([data]))
    listed = [*image.layers, *(item.descriptor for item in layers)]
    content = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described(CONFIG, data), "layers": listed}
    return encoded(content | ({"annotations": image.annotations} if image.annotations else {}))


def _tag(repository: Repository, tag: str, manifests: list[tuple[bytes, dict[str, Any]]]) -> str:
    """Make the image visible: one manifest, or an index of one for each platform."""
    data, kind = manifests[0][0], MANIFEST
    if len(manifests) > 1:
        for manifest, _ in manifests:
            repository.put_manifest(digest_of(manifest), manifest, MANIFEST)
        listed = [{**described(MANIFEST, manifest), "platform": platform} for manifest, platform in manifests]
        data, kind = encoded({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}), INDEX
    repository.put_manifest(tag, data, kind)
    return digest_of(data)


def described(kind: str, data: bytes) -> dict[str, Any]:
    """Return the descriptor of a blob."""
    return {"mediaType": kind, "digest": digest_of(data), "size": len(data)}


def encoded(content: dict[str, Any]) -> bytes:
    """Return JSON that is the same for the same content."""
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
