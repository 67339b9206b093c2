"""What the stand-in serves, written apart from the table in helpers so that a wrong name there shows."""

from __future__ import annotations

from typing import NamedTuple


class Resource(NamedTuple):
    """One resource as the API server knows it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    custom: bool = False  # from a CustomResourceDefinition: no strategic merge, the kind's full name in messages

    @property
    def full(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def full_kind(self) -> str:
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


RESOURCES = [
    *(
        Resource("", "v1", plural, kind)
        for plural, kind in {
            "pods": "Pod", "services": "Service", "secrets": "Secret", "configmaps": "ConfigMap", "events": "Event",
            "persistentvolumeclaims": "PersistentVolumeClaim", "resourcequotas": "ResourceQuota",
            "limitranges": "LimitRange", "serviceaccounts": "ServiceAccount",
        }.items()
    ),
    Resource("", "v1", "nodes", "Node", namespaced=False),
    Resource("", "v1", "namespaces", "Namespace", namespaced=False),
    Resource("apps", "v1", "deployments", "Deployment"),
    Resource("apps", "v1", "replicasets", "ReplicaSet"),
    Resource("rbac.authorization.k8s.io", "v1", "roles", "Role"),
    Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding"),
    Resource("serving.kserve.io", "v1beta1", "inferenceservices", "InferenceService", custom=True),
    Resource("serving.kserve.io", "v1alpha1", "servingruntimes", "ServingRuntime", custom=True),
    Resource("route.openshift.io", "v1", "routes", "Route", custom=True),
    Resource("image.openshift.io", "v1", "imagestreams", "ImageStream", custom=True),
    Resource("trustyai.opendatahub.io", "v1alpha1", "lmevaljobs", "LMEvalJob", custom=True),
    Resource("argoproj.io", "v1alpha1", "workflows", "Workflow", custom=True),
    Resource("monitoring.coreos.com", "v1", "prometheusrules", "PrometheusRule", custom=True),
    Resource("metrics.k8s.io", "v1beta1", "pods", "PodMetrics"),
    Resource(
        "datasciencepipelinesapplications.opendatahub.io", "v1", "datasciencepipelinesapplications",
        "DataSciencePipelinesApplication", custom=True,
    ),
]  # fmt: skip
BY_KIND = {resource.kind: resource for resource in RESOURCES}
BY_PATH = {(resource.group, resource.version, resource.plural): resource for resource in RESOURCES}
