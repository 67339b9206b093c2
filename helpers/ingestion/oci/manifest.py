"""An image's manifest, and which one of an index is meant."""

from __future__ import annotations

import hashlib
from functools import partial

from pydantic import BaseModel, Field, ValidationError

from helpers.ingestion.metering import persistently, refused
from helpers.ingestion.oci.reference import DIGEST
from helpers.ingestion.oci.registry import Registry

OTHER = "Take another image, or ask the registry's operator"


class Platform(BaseModel):
    """Which machines a manifest of an index is for."""

    os: str = ""
    architecture: str = ""


class Descriptor(BaseModel):
    """One blob as a manifest lists it."""

    digest: str = Field(pattern=f"^{DIGEST}$")
    size: int = Field(ge=0)
    platform: Platform | None = None


class Content(BaseModel):
    """A manifest or an index, as far as it matters here: an index has manifests, a manifest has layers."""

    layers: list[Descriptor] = Field(default=[], max_length=512)
    manifests: list[Descriptor] = Field(default=[], max_length=512)


class Image:
    """One image of a registry, found by its tag or digest; `digest` is that of its manifest for linux/amd64."""

    def __init__(self, registry: Registry) -> None:
        """Read the manifest. Raises NotFound, SourceUnreachable or Refused."""
        self.registry, self.name = registry, str(registry.reference)
        self.digest, content = self._content(registry.reference.version)
        if content.manifests:
            self.digest, content = self._content(self._choose(content.manifests).digest)
        if not content.layers:
            raise refused(self.name, ".", "source", "is no image: its manifest lists no layers", OTHER)
        self.layers = list({layer.digest: layer for layer in content.layers}.values())

    @property
    def size(self) -> int:
        """Bytes of all layers."""
        return sum(layer.size for layer in self.layers)

    def _content(self, version: str) -> tuple[str, Content]:
        data = persistently(partial(self.registry.manifest, version), self.name)
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        if ":" in version and digest != version:
            raise refused(self.name, ".", "digest", f"has a manifest with the digest {digest}", OTHER)
        try:
            return digest, Content.model_validate_json(data)
        except ValidationError as error:
            problem = f"has a manifest that is none: {error.errors()[0]['msg']}"
            raise refused(self.name, ".", "source", problem, OTHER) from error

    def _choose(self, manifests: list[Descriptor]) -> Descriptor:
        fitting = [item for item in manifests if item.platform == Platform(os="linux", architecture="amd64")]
        if not fitting and len(manifests) > 1:
            raise refused(self.name, ".", "source", "has no image for linux/amd64", OTHER)
        return (fitting or manifests)[0]
