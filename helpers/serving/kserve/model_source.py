"""Where KServe takes the model from: an image, or a bucket by its connection; and what opens them."""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from helpers.artifacts import Selection
from helpers.cluster import Cluster
from helpers.errors import InvalidParameter, NotFound
from helpers.serving.files import address
from helpers.serving.settings import Settings
from helpers.storage import data_connection

STORE = "assay-store"
DASHBOARD = ("opendatahub.io/managed", "opendatahub.io/dashboard")  # without these the connection is not used
ENDPOINT, AWS = "AWS_S3_ENDPOINT", "amazonaws.com"
FIELD, VARIABLE = ".dockerconfigjson", "REGISTRY_AUTH_FILE"


def model_source(selection: Selection, settings: Settings) -> dict[str, Any]:
    """Return the values of `storage_uri`, `storage` and `pull_secrets`. Raises InvalidParameter."""
    uri = address(selection)
    place = urlparse(uri)
    if place.scheme == "s3":
        storage = {"key": settings.connection or STORE, "path": place.path.strip("/")}
        return {"storage_uri": None, "storage": storage, "pull_secrets": None}
    if place.scheme != "oci":
        raise InvalidParameter(
            f"{selection.label} is at {uri}, which no pod of a cluster can reach",
            do="Ingest it with MODEL_STORE s3://bucket/prefix or oci://host/repository, or set TARGET to local",
        )
    secrets = [{"name": settings.connection}] if settings.connection else None
    return {"storage_uri": uri, "storage": None, "pull_secrets": secrets}


def check_connection(cluster: Cluster, selection: Selection, settings: Settings) -> None:
    """Raise NotFound or InvalidParameter where KServe could not use the secret; without one there is nothing to check.

    KServe itself would say so only in the words of a pod that is never made.
    """
    place = urlparse(selection.uri)
    name = settings.connection or (STORE if place.scheme == "s3" else "")
    if not name:
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
    if (bucket := _said(secret, "AWS_S3_BUCKET")) != place.netloc:
        raise InvalidParameter(
            f"The connection {name} is for the bucket {bucket or '(none)'}, and {selection.label} is in {place.netloc}",
            do="Name the connection of that bucket in CONNECTION",
        )
    verified, opened = _host(data_connection.config("STORE_AWS_").get("endpoint", "")), _host(_said(secret, ENDPOINT))
    if opened != verified:
        raise InvalidParameter(
            f"The connection {name} leads to {opened}, and {selection.label} was verified at {verified}",
            do="Name the connection of that store in CONNECTION, or give this stage the store that it leads to",
        )


def _said(secret: dict[str, Any], key: str) -> str:
    return base64.b64decode((secret.get("data") or {}).get(key, "")).decode("utf-8", "replace").strip()


def _host(endpoint: str) -> str:
    """Return which store an endpoint is, with its scheme and port; AWS is one, whatever its name in a region."""
    place = urlparse(endpoint if "://" in endpoint else f"https://{endpoint or AWS}")
    if place.hostname == AWS or (place.hostname or "").endswith(f".{AWS}"):
        return AWS
    return (
        f"{place.scheme}://{place.hostname}:{place.port or {'http': 80}.get(place.scheme, 443)}{place.path.rstrip('/')}"
    )


@contextmanager
def logged_in(cluster: Cluster, selection: Selection, settings: Settings) -> Iterator[None]:
    """Let this process read the model's image as KServe will; the file with the login is gone afterwards.

    A login that is there already stays in use. Raises InvalidParameter for a secret of another kind.
    """
    if not (selection.uri.startswith("oci://") and settings.connection) or os.environ.get(VARIABLE):
        yield
        return
    secret = cluster.get("Secret", settings.connection) or {}
    if not (content := (secret.get("data") or {}).get(FIELD)):
        raise InvalidParameter(
            f"The secret {settings.connection} opens no image registry: it has no {FIELD}",
            do="Name the pull secret of the model's registry in CONNECTION",
        )
    with tempfile.TemporaryDirectory(prefix="assay-login-") as folder:
        path = Path(folder, "config.json")
        path.touch(mode=0o600)
        path.write_bytes(base64.b64decode(content))
        os.environ[VARIABLE] = str(path)
        try:
            yield
        finally:
            del os.environ[VARIABLE]
