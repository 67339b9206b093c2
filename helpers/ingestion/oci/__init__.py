"""Images in OCI registries, as far as a model in one is concerned."""

from helpers.ingestion.oci.image import pull_models, receive
from helpers.ingestion.oci.manifest import Image
from helpers.ingestion.oci.reference import Reference, insecure
from helpers.ingestion.oci.registry import Registry

__all__ = ["Image", "Reference", "Registry", "insecure", "pull_models", "receive"]
