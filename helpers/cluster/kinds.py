"""The kinds of objects that the stages know, and where the API has them."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote


class Kind(NamedTuple):
    """One kind: API group ("" is the core), version, the resource's name in paths, and whether it has a namespace."""

    group: str
    version: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`group/version`, or the version alone for the core."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """The name that RBAC and error messages use, for example `inferenceservices.serving.kserve.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str, *parts: str) -> str:
        """Return the path of the collection in a namespace, or of an object in it."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"
        place = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced else ""
        return "/".join([f"{root}{place}/{self.plural}", *(quote(part, safe="") for part in parts)])


KINDS = {
    "InferenceService": Kind("serving.kserve.io", "v1beta1", "inferenceservices"),
    "ServingRuntime": Kind("serving.kserve.io", "v1alpha1", "servingruntimes"),
    "Pod": Kind("", "v1", "pods"),
    "Service": Kind("", "v1", "services"),
    "Secret": Kind("", "v1", "secrets"),
    "ConfigMap": Kind("", "v1", "configmaps"),
    "Event": Kind("", "v1", "events"),
    "PersistentVolumeClaim": Kind("", "v1", "persistentvolumeclaims"),
    "ResourceQuota": Kind("", "v1", "resourcequotas"),
    "LimitRange": Kind("", "v1", "limitranges"),
    "ServiceAccount": Kind("", "v1", "serviceaccounts"),
    "Node": Kind("", "v1", "nodes", namespaced=False),
    "Namespace": Kind("", "v1", "namespaces", namespaced=False),
    "Deployment": Kind("apps", "v1", "deployments"),
    "ReplicaSet": Kind("apps", "v1", "replicasets"),
    "Route": Kind("route.openshift.io", "v1", "routes"),
    "ImageStream": Kind("image.openshift.io", "v1", "imagestreams"),
    "Workflow": Kind("argoproj.io", "v1alpha1", "workflows"),
    "DataSciencePipelinesApplication": Kind(
        "datasciencepipelinesapplications.opendatahub.io", "v1", "datasciencepipelinesapplications"
    ),
    "SelfSubjectAccessReview": Kind("authorization.k8s.io", "v1", "selfsubjectaccessreviews", namespaced=False),
    "LocalSubjectAccessReview": Kind("authorization.k8s.io", "v1", "localsubjectaccessreviews"),
    "SelfSubjectReview": Kind("authentication.k8s.io", "v1", "selfsubjectreviews", namespaced=False),
}
