"""Images in OCI registries, as far as a model in one is concerned."""

from helpers.oci.image import pull_models, receive
from helpers.oci.manifest import Image
from helpers.oci.reference import Reference, insecure
from helpers.oci.registry import Registry

__all__ = ["Image", "Reference", "Registry", "insecure", "pull_models", "receive"]
