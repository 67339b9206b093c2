"""What serves models, KServe with a runtime for vLLM and a GPU that is free, and the images that pipelines name."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from helpers.cluster.client import SET_UP as ROLES
from helpers.cluster.client import Object
from helpers.errors import Forbidden, NotFound
from helpers.pipelines.definition import Pipeline, names
from helpers.pipelines.image_digests import INSIDE, in_stream
from helpers.pipelines.image_names import is_placeholder, short
from helpers.pipelines.outputs import EVALUATORS
from helpers.pipelines.preflight.project import DO_ASK, RUNNER, Line, Project, fix, note, ok
from helpers.serving.kserve.names import is_ours
from helpers.serving.kserve.rendering import PLATFORM_RUNTIME

ACCELERATORS = ("nvidia.com/gpu", "amd.com/gpu", "habana.ai/gaudi")
TEMPLATE = "vllm-cuda-runtime-template"
DO_NAME = f"`make images IMAGES={INSIDE}/PROJECT` names those that the cluster built, here and in the pipelines"


def runtimes(project: Project) -> Iterator[Line]:
    """Look for the right to create a runtime for vLLM, or for one that deploy_model takes instead.

    Those that deploy_model made for its own runs say nothing: they are gone with them.
    """
    listed = [item for item in project.cluster.list("ServingRuntime") if _for_vllm(item) and not is_ours(item)]
    found = [str(item["metadata"]["name"]) for item in listed]
    may = _may_create(project)
    if may:
        yield ok("deploy_model creates its own runtime for vLLM")
    elif platform := [name for name in found if name in PLATFORM_RUNTIME.values()]:
        yield ok(f"deploy_model finds a runtime for vLLM: {', '.join(platform)}")
    elif may is None:
        yield note(f"Whether {RUNNER} may create a runtime for vLLM cannot be seen by {project.account}", DO_ASK)
    else:
        named = f"Deploy with SERVING_RUNTIME={found[0]}, which is there; or let" if found else "Let"
        do = (
            f"{named} them (`oc apply -n {project.namespace} -k {ROLES}`), or make the platform's: "
            f"`oc process -n redhat-ods-applications -o yaml {TEMPLATE} | oc apply -n {project.namespace} -f -`"
        )
        yield fix("The pipelines may not create a runtime for vLLM, and there is none that they look for", do)


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
        yield note("No node has a GPU", "Serve on the CPU (RESOURCES=cpu:4,memory:16Gi), or ask for a node with a GPU")


def _for_vllm(runtime: Object) -> bool:
    return any(item.get("name") == "vLLM" for item in runtime["spec"].get("supportedModelFormats") or [])


def _may_create(project: Project) -> bool | None:
    """Return whether the pipelines' account may create a runtime, None where this account may not ask."""
    try:
        return project.cluster.allowed("create", "ServingRuntime", account="" if project.runs_pipelines else RUNNER)
    except Forbidden:
        return None


def _of_quota(quota: Object) -> Iterator[Line]:
    status = quota.get("status") or {}
    for name, hard in (status.get("hard") or {}).items():
        if name.removeprefix("requests.") in ACCELERATORS:
            used = (status.get("used") or {}).get(name, "0")
            text = f"The quota {quota['metadata']['name']} has {used} of {hard} {name} in use"
            if not int(hard):
                yield fix(text, "Ask for a larger quota, or serve on the CPU (RESOURCES=cpu:4,memory:16Gi)")
            elif int(used) >= int(hard):
                yield note(text, "A run waits QUEUE_SECONDS for one: remove a deployment that is no longer needed")
            else:
                yield ok(text)


def _amount(node: Object, resource: str) -> int:
    return int(((node.get("status") or {}).get("allocatable") or {}).get(resource, 0))


def images(project: Project) -> Iterator[Line]:
    """Compare the names in the pipelines with Elyra's dropdown and with the cluster's image streams."""
    nodes = [node for name in names() for node in Pipeline(name).nodes]
    wanted = sorted({node["runtime_image"] for node in nodes})
    always = {node["runtime_image"] for node in nodes if Path(node["filename"]).stem not in EVALUATORS}
    if placeholders := [image for image in wanted if is_placeholder(image)]:
        yield fix(f"{', '.join(placeholders)}: a placeholder, which nobody can pull", DO_NAME)
        return
    if missing := [image for image in wanted if image not in _offered()]:
        yield note(f"Elyra does not offer {', '.join(missing)}", DO_NAME)
    else:
        yield ok(f"Elyra offers {', '.join(wanted)}")
    for image in (image for image in wanted if image.startswith(f"{INSIDE}/")):
        line = _built(project, image)
        yield line if image in always else _needed_by_some(line, image)


def _needed_by_some(line: Line, image: str) -> Line:
    """Return the line as a note where it asks for an image that only some use cases need."""
    if line.state != "fix":
        return line
    return note(line.text, f"Build it where a use case measures what it is for ({short(image)}): {line.do}")


def _built(project: Project, image: str) -> Line:
    """Return the line for an image of the cluster's own registry."""
    try:
        tags = in_stream(project.cluster, image)
    except Forbidden as error:
        return note(error.what, "The first run shows whether the image is there")
    except NotFound as error:
        return fix(error.what, error.do)
    _, _, digest = image.partition("@")
    tag = image.rpartition(":")[2]
    if digest and not any(digest in found for found in tags.values()):
        return fix(f"{image} is not in the cluster's registry", DO_NAME)
    if not digest and not tags.get(tag):
        namespace, name = image.removeprefix(f"{INSIDE}/").partition("/")[0], short(image)
        return fix(f"{image} is not built", f"See how the build went: oc -n {namespace} logs buildconfig/{name}")
    return ok(f"{image} is built")


def _offered() -> set[str]:
    from jupyter_core.paths import jupyter_path

    folders = [Path(folder) for folder in jupyter_path("metadata", "runtime-images")]
    files = [path for folder in folders if folder.is_dir() for path in folder.glob("*.json")]
    return {str(json.loads(path.read_text())["metadata"]["image_name"]) for path in files}
