"""The Kubernetes API as the stages use it: get, list, create, patch, delete, never watch and never replace.

The account of a pipeline's pod may do no more than that (runtime-images/openshift/project/).
"""

from helpers.cluster.account import ca_bundle, in_pod, service_account_token
from helpers.cluster.client import Cluster
from helpers.cluster.connecting import connect

__all__ = ["Cluster", "ca_bundle", "connect", "in_pod", "service_account_token"]
