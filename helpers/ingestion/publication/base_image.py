"""The image that a modelcar builds upon, for each platform that it is made for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from helpers.errors import StoreFailed
from helpers.ingestion.oci.reference import Reference
from helpers.ingestion.publication.repository import Repository

SCRATCH = "scratch"
OCI_NAMES = {  # what the docker format calls the same thing
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
}


class Image(NamedTuple):
    """One platform's image: its configuration, the descriptors of its layers, and which image that is."""

    platform: dict[str, Any]
    config: dict[str, Any]
    layers: list[dict[str, Any]]
    annotations: dict[str, str]


NAME, DIGEST = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"
EMPTY = Image({}, {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers"}}, [], {})


def images(name: str, target: Repository) -> Iterator[Image]:
    """Copy the layers of the base image to `target` and return it for every platform. Raises StoreFailed."""
    if name == SCRATCH:
        yield EMPTY
        return
    reference = Reference.parse(name)
    with Repository(reference) as source:
        for platform, digest, manifest in _manifests(source, reference.version):
            config = json.loads(source.small_blob(manifest["config"]["digest"]))
            layers = [_copied(item, source, target) for item in manifest["layers"]]
            yield Image(platform, config, layers, {NAME: name, DIGEST: digest})


def _manifests(source: Repository, version: str) -> Iterator[tuple[dict[str, Any], str, dict[str, Any]]]:
    found = source.image(version)
    if not found:
        raise StoreFailed(f"{source.reference} is not there", do="Give OCI_BASE_IMAGE an image that can be pulled")
    digest, content = found
    if "layers" in content:
        yield {}, digest, content
    for item in content.get("manifests", []):
        if item.get("platform", {}).get("os") == "linux" and (one := source.image(item["digest"])):
            yield item["platform"], *one


def _copied(item: dict[str, Any], source: Repository, target: Repository) -> dict[str, Any]:
    target.put_blob(item["digest"], item["size"], lambda: source.chunks(item["digest"]))
    return {**item, "mediaType": OCI_NAMES.get(item["mediaType"], item["mediaType"])}
