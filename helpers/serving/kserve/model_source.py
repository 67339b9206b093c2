"""Where KServe takes the model from: an image, a bucket by its connection, or a volume."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import urlparse

from helpers.artifacts import Selection
from helpers.cluster import Cluster
from helpers.errors import InvalidParameter, NotFound
from helpers.serving.settings import Settings
from helpers.serving.verification import address

STORE = "assay-store"
DASHBOARD = ("opendatahub.io/managed", "opendatahub.io/dashboard")  # without these the connection is not used


def model_source(selection: Selection, settings: Settings) -> dict[str, Any]:
    """Return the values of `storage_uri`, `storage` and `pull_secrets`. Raises InvalidParameter."""
    uri = address(selection)
    place = urlparse(uri)
    if place.scheme == "s3":
        storage = {"key": settings.connection or STORE, "path": place.path.strip("/")}
        return {"storage_uri": None, "storage": storage, "pull_secrets": None}
    if place.scheme not in ("oci", "pvc"):
        raise InvalidParameter(
            f"{selection.label} is at {uri}, which no pod of a cluster can reach",
            do="Ingest it with MODEL_STORE s3://bucket/prefix or oci://host/repository, or set TARGET to local",
        )
    secrets = [{"name": settings.connection}] if place.scheme == "oci" and settings.connection else None
    return {"storage_uri": uri, "storage": None, "pull_secrets": secrets}


def check_connection(cluster: Cluster, selection: Selection, settings: Settings) -> None:
    """Raise NotFound or InvalidParameter where KServe could not use the secret; without one there is nothing to check.

    KServe itself would say so only in the words of a pod that is never made.
    """
    place = urlparse(selection.uri)
    name = settings.connection or (STORE if place.scheme == "s3" else "")
    if not name or place.scheme == "pvc":
        return
    if not (secret := cluster.get("Secret", name)):
        raise NotFound(
            f"There is no secret {name} in {cluster.namespace}, which opens the store of {selection.label}",
            do="Create the connection, or name the right one in CONNECTION",
        )
    if place.scheme == "oci":
        return
    labels = secret["metadata"].get("labels") or {}
    if missing := [label for label in DASHBOARD if labels.get(label) != "true"]:
        raise InvalidParameter(
            f"The secret {name} lacks the label {missing[0]}, so KServe gets no keys from it",
            do=f"oc -n {cluster.namespace} label secret {name} {' '.join(f'{label}=true' for label in DASHBOARD)}",
        )
    bucket = base64.b64decode((secret.get("data") or {}).get("AWS_S3_BUCKET", "")).decode("utf-8", "replace").strip()
    if bucket != place.netloc:
        raise InvalidParameter(
            f"The connection {name} is for the bucket {bucket or '(none)'}, and {selection.label} is in {place.netloc}",
            do="Name the connection of that bucket in CONNECTION",
        )
