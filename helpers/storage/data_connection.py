"""The object store's data connection: STORE_AWS_*, which a pipeline's nodes get from the Secret `assay-store`.

The names do not collide with Elyra's own AWS_*, which belong to the bucket of the pipeline server.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from helpers.errors import InvalidParameter
from helpers.runtime.account import ca_bundle, in_pod
from helpers.runtime.workspace import home

SECRET = "assay-store"
# What each variable is called in the Secret, which is a data connection of OpenShift AI.
KEYS = {
    "STORE_AWS_ACCESS_KEY_ID": "AWS_ACCESS_KEY_ID",
    "STORE_AWS_SECRET_ACCESS_KEY": "AWS_SECRET_ACCESS_KEY",
    "STORE_AWS_ENDPOINT": "AWS_S3_ENDPOINT",
    "STORE_AWS_REGION": "AWS_DEFAULT_REGION",
    "STORE_AWS_BUCKET": "AWS_S3_BUCKET",
}
NEEDED = ("STORE_AWS_ACCESS_KEY_ID", "STORE_AWS_SECRET_ACCESS_KEY")
CONFIG = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "ENDPOINT", "REGION")


def default_store() -> str:
    """Return what `auto` means: `assay/` in the connection's bucket, else the embedded store outside a pod.

    Raises InvalidParameter in a pod that knows no bucket.
    """
    if bucket := os.environ.get("STORE_AWS_BUCKET"):
        return f"s3://{bucket}/assay"
    if in_pod():
        raise _missing("STORE_AWS_BUCKET")
    return embedded_store()


def embedded_store() -> str:
    """Return the store on this machine as a file:// URI."""
    return (home() / "store").resolve().as_uri()


def store_config() -> dict[str, str]:
    """Return endpoint, region and keys of the store as obstore names them.

    Raises InvalidParameter in a pod that lacks a key: obstore would look for other credentials, and find Elyra's.
    """
    if in_pod() and not os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        for name in NEEDED:
            if not os.environ.get(name):
                raise _missing(name)
    return config("STORE_AWS_")


def config(prefix: str) -> dict[str, str]:
    """Return what the variables with that prefix say, as obstore names it; {} where there are none."""
    found = {key.lower(): value for key in CONFIG if (value := os.environ.get(f"{prefix}{key}", "").strip())}
    if (endpoint := found.get("endpoint")) and "://" not in endpoint:
        found["endpoint"] = f"https://{endpoint}"  # a data connection may leave it out
    return found


def client_options(endpoint: str) -> dict[str, Any]:
    """Return obstore's options for an endpoint: plain http where it says so, and whose certificates are trusted.

    obstore reads SSL_CERT_FILE itself, and not AWS_CA_BUNDLE, nor what signs services inside the cluster.
    """
    named = [Path(path) for path in [os.environ.get("AWS_CA_BUNDLE", "")] if path]
    if absent := [path for path in named if not path.is_file()]:
        raise InvalidParameter(f"AWS_CA_BUNDLE names {absent[0]}, which is not there", do="Name the CA's PEM file")
    inside = ca_bundle()
    bundles = named + ([inside] if inside else [])
    trusted = {"root_certificate": "\n".join(path.read_text() for path in bundles)} if bundles else {}
    return {"allow_http": endpoint.startswith("http://"), **trusted}


def _missing(variable: str) -> InvalidParameter:
    return InvalidParameter(
        f"This pod has no {variable}: the Secret {SECRET} lacks the key {KEYS[variable]}, or this node does not use it",
        do=f"Put {KEYS[variable]} into the project's Secret {SECRET} and name it in the node's Kubernetes secrets",
    )
