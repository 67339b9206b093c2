"""The Kubernetes API as the stages use it: get, list, create, delete, never watch and never change.

The account of a pipeline's pod may do no more than that (runtime-images/openshift/project/).
"""

from helpers.cluster.client import Cluster, connect

__all__ = ["Cluster", "connect"]
