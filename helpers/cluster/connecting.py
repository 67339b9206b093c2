"""Find the cluster and the account: the file named by KUBECONFIG, else the pod's own account, else ~/.kube/config."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.cluster import account
from helpers.cluster.client import Cluster
from helpers.cluster.transport import Transport
from helpers.errors import ClusterUnreachable

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

HOME_FILE = "~/.kube/config"
DO_LOGIN = "Log in with `oc login`, or name a kubeconfig file in KUBECONFIG"


def connect(namespace: str = "", *, timeout: float | None = None) -> Cluster:
    """Return the cluster; without a namespace it is the kubeconfig's or the pod's own.

    `timeout` is how long each call is asked again, in seconds, None for two minutes. Raises ClusterUnreachable where
    nothing says where the cluster is; whether it answers shows in the first call.
    """
    given = os.environ.get("KUBECONFIG", "")
    if not given and account.in_pod():
        client, own = _from_pod(), account.namespace()
    else:
        client, own = _from_file(given or os.path.expanduser(HOME_FILE))
    return Cluster(Transport(client, timeout), namespace or own or "default")


def _from_pod() -> ApiClient:
    from kubernetes.client import ApiClient, Configuration

    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT") or "443"
    configuration = Configuration(host=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}")
    configuration.ssl_ca_cert = str(account.FOLDER / "ca.crt")
    # The kubelet writes the token anew before it expires; it is read for each request, and stripped.
    configuration.refresh_api_key_hook = _renew
    _renew(configuration)
    return ApiClient(configuration)


def _renew(configuration: object) -> None:
    configuration.api_key = {"authorization": f"Bearer {account.service_account_token()}"}  # type: ignore[attr-defined]


def _from_file(path: str) -> tuple[ApiClient, str]:
    """Return a client and the namespace of the current context; nothing of the file's content is ever shown."""
    from kubernetes.client import Configuration
    from kubernetes.config import list_kube_config_contexts, new_client_from_config

    if not any(Path(part).expanduser().is_file() for part in path.split(os.pathsep)):
        raise ClusterUnreachable(f"There is no cluster: {path} is not there and this is no pod", do=DO_LOGIN)
    try:
        _, active = list_kube_config_contexts(path)
        client = new_client_from_config(path, persist_config=False, client_configuration=Configuration())
        return client, str(active["context"].get("namespace") or "")
    except Exception as error:  # noqa: BLE001, the client raises whatever a malformed file makes it stumble over
        # Neither the message nor the cause is passed on: a YAML error quotes the line, which may hold a token.
        reason = f"The kubeconfig {path} cannot be used ({type(error).__name__})"
    raise ClusterUnreachable(reason, do=DO_LOGIN)
