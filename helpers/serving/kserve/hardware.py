"""What the server runs on, as far as this account may see it."""

from __future__ import annotations

from helpers.artifacts import Hardware
from helpers.cluster import Cluster
from helpers.errors import Forbidden, NotFound
from helpers.serving.amounts import accelerator, cores, number
from helpers.serving.kserve.names import Object
from helpers.serving.settings import Settings

PRODUCT, MEMORY_MIB = "nvidia.com/gpu.product", "nvidia.com/gpu.memory"  # labels of nodes


def served_on(cluster: Cluster, pods: list[Object], settings: Settings) -> Hardware:
    """Return the GPU's product and memory from the node's labels, else the resource's name; counts are requests."""
    resources = settings.pod_resources
    name, count = accelerator(resources)
    if not name:
        gib = round(number(resources["memory"]) / 2**30, 1)
        return Hardware(type="CPU", count=cores(number(resources["cpu"])), memory_gib=gib)
    labels = _node_labels(cluster, pods)
    memory = labels.get(MEMORY_MIB, "")
    return Hardware(
        type=labels.get(PRODUCT, name),
        count=count,
        memory_gib=round(int(memory) * count / 1024, 1) if memory.isdigit() else None,
    )


def _node_labels(cluster: Cluster, pods: list[Object]) -> dict[str, str]:
    node = next((str(pod["spec"]["nodeName"]) for pod in pods if (pod.get("spec") or {}).get("nodeName")), "")
    try:
        found = cluster.get("Node", node) if node else None
    except (Forbidden, NotFound):
        return {}
    return (found or {}).get("metadata", {}).get("labels") or {}
