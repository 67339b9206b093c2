"""The registry's login for this stage: the same secret that opens the model's image for KServe."""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers.artifacts import Selection
from helpers.cluster import Cluster
from helpers.errors import InvalidParameter
from helpers.serving.settings import Settings

FIELD, VARIABLE = ".dockerconfigjson", "REGISTRY_AUTH_FILE"


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
