"""A selection and settings in, the objects for KServe out; nothing is sent here."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime
from importlib.resources import files
from typing import Any

from helpers.artifacts import Selection, run
from helpers.cluster import Cluster
from helpers.errors import Forbidden, InvalidDeployment, InvalidParameter
from helpers.runtime.workspace import ROOT
from helpers.serving import histograms
from helpers.serving.amounts import accelerator
from helpers.serving.kserve.failures import SET_UP, from_template
from helpers.serving.kserve.model_source import model_source
from helpers.serving.kserve.names import EXPIRES, SPECIFICATION, Object, registry_label, service_name
from helpers.serving.kserve.removing import delete_runtime
from helpers.serving.settings import Settings

OWN_TEMPLATE = {"": "serving-runtime-cpu", "nvidia.com": "serving-runtime-gpu"}
PLATFORM_RUNTIME = {
    "": "vllm-cpu-x86-runtime",
    "nvidia.com": "vllm-cuda-runtime",
    "amd.com": "vllm-rocm-runtime",
    "habana.ai": "vllm-gaudi-runtime",
}
PARALLEL = ("--tensor-parallel-size", "-tp", "--pipeline-parallel-size", "-pp", "--data-parallel-size", "-dp")
OFFLINE = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
FOLDER = ROOT / "runtime-images" / "vllm"
MODEL = "/mnt/models"  # where KServe puts it
VLLM = ("python", "-m", "vllm.entrypoints.openai.api_server")  # what the images of OpenShift AI run


def vendor(settings: Settings) -> str:
    """Return whose accelerator the server gets, for example `nvidia.com`, "" for a server on the CPU."""
    return accelerator(settings.pod_resources)[0].partition("/")[0]


def serving_runtime(selection: Selection, settings: Settings, expires: datetime) -> Object | None:
    """Return our ServingRuntime for this deployment, None where there is no template for that accelerator."""
    if not (template := OWN_TEMPLATE.get(vendor(settings))):
        return None
    return render(template, {"name": service_name(selection), "run": _run(selection), "expires": _moment(expires)})


def inference_service(selection: Selection, settings: Settings, runtime: str, expires: datetime) -> Object:
    """Return the InferenceService. Raises InvalidParameter for a model that no cluster can reach."""
    service = render("inference-service", _values(selection, settings) | {"runtime": runtime, "specification": ""})
    canonical = json.dumps(service, sort_keys=True).encode()
    stated = {SPECIFICATION: hashlib.sha256(canonical).hexdigest()[:16], EXPIRES: _moment(expires)}
    service["metadata"]["annotations"] |= stated
    return service


def engine_arguments(selection: Selection, settings: Settings) -> list[str]:
    """Return vLLM's arguments beyond those of the runtime: all GPUs are used unless ENGINE_ARGS says how."""
    count = accelerator(settings.pod_resources)[1]
    given = [argument.partition("=")[0] for argument in settings.arguments]
    parallel = [f"{PARALLEL[0]}={count}"] if count > 1 and not set(given) & set(PARALLEL) else []
    name = f"--served-model-name={service_name(selection)}"
    return [name, f"--max-model-len={settings.max_model_len}", *parallel, *settings.arguments]


def server_command(selection: Selection) -> list[str]:
    """Return what the server's container runs before its arguments: the check of the model's files, then vLLM."""
    script = files("helpers.serving.kserve").joinpath("check_and_serve.py").read_text("utf-8")
    return [VLLM[0], "-I", "-c", script, selection.digest, MODEL, *VLLM]  # -I: nothing beside it is imported


def _values(selection: Selection, settings: Settings) -> dict[str, Any]:
    on_cpu = {} if vendor(settings) else {"VLLM_CPU_KVCACHE_SPACE": str(settings.kv_cache_gib)}
    return {
        "name": service_name(selection),
        "run": _run(selection),
        "label": selection.label,
        "digest": selection.digest,
        "expires": "",
        "visibility": "exposed" if settings.access == "exposed" else None,
        "auth": None if settings.access == "cluster" else "true",
        "registered_model_id": selection.registered_model_id,
        "model_version_id": selection.model_version_id,
        "registry": registry_label(selection.registry) or None,
        "queue": settings.queue or None,
        "service_account": settings.service_account or None,
        "tolerations": settings.pod_tolerations or None,
        "command": server_command(selection),
        "args": [*engine_arguments(selection, settings), *histograms.arguments(settings.slo)],
        "env": [{"name": name, "value": value} for name, value in (OFFLINE | on_cpu).items()],
        "resources": settings.pod_resources,
        **model_source(selection, settings),
    }


def _run(selection: Selection) -> str | None:
    return run.label(selection.run) or None


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def render(template: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return a template's object with every `${name}` replaced by that value; None leaves the field out."""
    import yaml

    filled: dict[str, Any] = _fill(yaml.safe_load(_text(f"{template}.yaml")), values)
    return filled


def _text(name: str) -> str:
    """Read a template from the repository, or from the installed package, which a pod has alone."""
    path = FOLDER / name
    packaged = files("helpers.serving.kserve") / "templates" / name
    return path.read_text("utf-8") if path.is_file() else packaged.read_text("utf-8")


def _fill(node: Any, values: dict[str, Any]) -> Any:
    if isinstance(node, dict):
        filled = {key: _fill(value, values) for key, value in node.items()}
        return {key: value for key, value in filled.items() if value is not None}
    if isinstance(node, list):
        return [_fill(item, values) for item in node]
    if isinstance(node, str) and (found := PLACEHOLDER.fullmatch(node)):
        return values[found[1]]
    return node


def provide_runtime(cluster: Cluster, selection: Selection, settings: Settings, expires: datetime) -> str:
    """Return the name of the ServingRuntime, created first where this account may. Raises InvalidDeployment."""
    if settings.serving_runtime:
        return _existing(
            cluster, settings.serving_runtime, "Name one of the project in SERVING_RUNTIME, or leave it at auto"
        )
    ours = serving_runtime(selection, settings, expires)
    if ours and cluster.allowed("create", "ServingRuntime"):
        name = str(ours["metadata"]["name"])
        delete_runtime(cluster, name)
        if not cluster.get("ServingRuntime", name):
            cluster.create(ours)
        return name
    if not (platform := PLATFORM_RUNTIME.get(vendor(settings))):
        raise InvalidParameter(
            f"Neither Assay nor OpenShift AI has a ServingRuntime for {vendor(settings)}",
            do="Name one of the project in SERVING_RUNTIME",
        )
    print(f"This account may not create a ServingRuntime in {cluster.namespace}: {platform} is used", flush=True)
    return _existing(
        cluster,
        platform,
        f"This account may not create one: let it (`oc -n {cluster.namespace} apply -k {SET_UP}`), or make that one: "
        f"{from_template(platform)}",
    )


def _existing(cluster: Cluster, name: str, do: str) -> str:
    """Return a name after a look, where looking is allowed; else KServe says whether it is there."""
    try:
        if not cluster.get("ServingRuntime", name):
            raise InvalidDeployment(f"There is no ServingRuntime {name} in {cluster.namespace}", do=do)
    except Forbidden as error:
        print(f"Whether there is a ServingRuntime {name} KServe will tell: {error.what}", flush=True)
    return name
