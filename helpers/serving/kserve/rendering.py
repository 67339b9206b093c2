"""A selection and settings in, the objects for KServe out; nothing is sent here."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from helpers.artifacts import Selection, run
from helpers.serving.amounts import accelerator
from helpers.serving.kserve.model_source import model_source
from helpers.serving.kserve.names import EXPIRES, SPECIFICATION, Object, registry_label, service_name
from helpers.serving.kserve.templates import render
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
        "args": engine_arguments(selection, settings),
        "env": [{"name": name, "value": value} for name, value in (OFFLINE | on_cpu).items()],
        "resources": settings.pod_resources,
        **model_source(selection, settings),
    }


def _run(selection: Selection) -> str | None:
    return run.label(selection.run) or None


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
