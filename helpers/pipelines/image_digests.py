"""Which image a name means now: its digest, as the cluster's image stream or the registry says it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from helpers.cluster import Cluster, connect
from helpers.errors import NotFound, SourceUnreachable

INSIDE = "image-registry.openshift-image-registry.svc:5000"
SECONDS = 10.0  # for an answer of the cluster
DO_BUILD = "Build them: runtime-images/README.md says how"


def by_digest(image: str) -> str:
    """Return an image's name with the digest in the place of its tag.

    Raises NotFound where there is no such image, and ClusterUnreachable, Forbidden or SourceUnreachable.
    """
    place, _, tag = image.rpartition(":")
    if not image.startswith(f"{INSIDE}/"):
        return f"{place}@{_in_registry(image)}"
    found = in_stream(connect(timeout=SECONDS), image)
    if not (digest := found.get(tag, [""])[0]):
        raise NotFound(f"{image} is not built", do=DO_BUILD)
    return f"{place}@{digest}"


def in_stream(cluster: Cluster, image: str) -> dict[str, list[str]]:
    """Return the digests that each tag of an image of the cluster's own registry has had, the newest first.

    Raises NotFound where there is no such image stream, Forbidden or ClusterUnreachable.
    """
    namespace, _, last = image.removeprefix(f"{INSIDE}/").partition("/")
    name = last.partition("@")[0].partition(":")[0]
    if not (stream := cluster.get("ImageStream", name, namespace=namespace)):
        raise NotFound(f"There is no image stream {name} in {namespace}", do=DO_BUILD)
    return dict(_tags(stream))


def _tags(stream: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for item in (stream.get("status") or {}).get("tags") or []:
        yield str(item["tag"]), [str(each.get("image", "")) for each in item.get("items") or []]


def _in_registry(image: str) -> str:
    from helpers.ingestion.oci import Reference, Registry

    try:
        with Registry(Reference.parse(image)) as registry:
            return "sha256:" + hashlib.sha256(registry.manifest(registry.reference.version)).hexdigest()
    except ConnectionError as error:
        raise SourceUnreachable(f"{image} cannot be read: {error}", do="Check the address") from error
