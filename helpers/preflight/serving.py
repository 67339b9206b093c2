"""What serves models: KServe with a runtime for vLLM, and a GPU that is free."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from helpers.cluster.client import Object
from helpers.errors import Forbidden
from helpers.preflight.lines import Line, fix, note, ok
from helpers.preflight.project import RUNNER, Project

ACCELERATORS = ("nvidia.com/gpu", "amd.com/gpu", "habana.ai/gaudi")
TEMPLATE = "vllm-cuda-runtime-template"


def runtimes(project: Project) -> Iterator[Line]:
    """Look for a runtime for vLLM, or for the right to create one."""
    found = [item["metadata"]["name"] for item in project.cluster.list("ServingRuntime") if _for_vllm(item)]
    if found:
        yield ok(f"There are runtimes for vLLM: {', '.join(found)}")
    elif _may_create(project):
        yield ok("deploy_model creates its own runtime for vLLM")
    else:
        do = f"oc process -n redhat-ods-applications -o yaml {TEMPLATE} | oc apply -n {project.namespace} -f -"
        yield fix("There is no runtime for vLLM, and the pipelines may not create one", do)


def gpus(project: Project) -> Iterator[Line]:
    """Say what the nodes have and what the project's quota leaves."""
    quotas = [line for item in project.cluster.list("ResourceQuota") for line in _of_quota(item)]
    yield from quotas
    try:
        nodes = project.cluster.list("Node")
    except Forbidden:
        if not quotas:
            text = f"{project.account} may not list nodes"
            yield note(text, "The first deployment shows within seconds whether a GPU is free")
        return
    total = Counter({name: sum(_amount(node, name) for node in nodes) for name in ACCELERATORS})
    if any(total.values()):
        yield ok("The nodes have " + ", ".join(f"{count} {name}" for name, count in total.items() if count))
    else:
        yield note("No node has a GPU", "Deploy with ACCELERATOR=cpu, or ask for a node with a GPU")


def _for_vllm(runtime: Object) -> bool:
    return any(item.get("name") == "vLLM" for item in runtime["spec"].get("supportedModelFormats") or [])


def _may_create(project: Project) -> bool:
    account = "" if project.runs_pipelines else RUNNER
    try:
        return project.cluster.allowed("create", "ServingRuntime", account=account)
    except Forbidden:
        return project.cluster.allowed("create", "ServingRuntime")


def _of_quota(quota: Object) -> Iterator[Line]:
    status = quota.get("status") or {}
    for name, hard in (status.get("hard") or {}).items():
        if name.removeprefix("requests.") in ACCELERATORS:
            used = (status.get("used") or {}).get(name, "0")
            text = f"The quota {quota['metadata']['name']} has {used} of {hard} {name} in use"
            do = "Remove a deployment that is no longer needed, or ask for a larger quota"
            yield fix(text, do) if int(used) >= int(hard) else ok(text)


def _amount(node: Object, resource: str) -> int:
    return int(((node.get("status") or {}).get("allocatable") or {}).get(resource, 0))
