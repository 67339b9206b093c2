"""What Kubernetes gives a pod: its service account's token, its namespace and the cluster's certificates."""

from __future__ import annotations

import os
from pathlib import Path

from helpers.errors import ClusterUnreachable

FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
DO_MOUNT = "Check that the pod mounts its service account's token (automountServiceAccountToken)"


def in_pod() -> bool:
    """Return whether this process runs in a pod."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST"))


def token_file() -> Path | None:
    """Return the file with the pod's own token, or None where there is none."""
    path = FOLDER / "token"
    return path if path.is_file() else None


def service_account_token() -> str:
    """Return the pod's own token, which Kubernetes renews from time to time; raises ClusterUnreachable without one."""
    try:
        token = (FOLDER / "token").read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ClusterUnreachable(
            f"The service account's token {FOLDER / 'token'} cannot be read", do=DO_MOUNT
        ) from error
    if not token:
        raise ClusterUnreachable(f"The service account's token {FOLDER / 'token'} is empty", do=DO_MOUNT)
    return token


def ca_bundle() -> Path | None:
    """Return the certificates that sign services inside the cluster (service-ca), or None outside a pod."""
    path = FOLDER / "service-ca.crt"
    return path if path.is_file() else None


def namespace() -> str:
    """Return the pod's own namespace, "" outside a pod."""
    path = FOLDER / "namespace"
    return path.read_text().strip() if path.is_file() else ""
