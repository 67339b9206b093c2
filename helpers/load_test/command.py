"""Settings in, GuideLLM's command line and environment out; nothing is run here."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from helpers.artifacts import Endpoint, LoadPoint
from helpers.load_test.settings import LONGEST, Settings
from helpers.load_test.workload import Workload
from helpers.runtime.environment import ENDPOINT_KEY, without_secrets

Option = dict[str, Any]


class Files(NamedTuple):
    """What one run of GuideLLM leaves; `hung` is the log of an attempt that was given up."""

    report: str
    page: str
    log: str
    hung: str


def files(name: str, *, repeats: bool = False) -> Files:
    """Return what GuideLLM's files are called for the measurement `name`: of the loads, or of the repeats."""
    stem = f"{name}.{'repeats' if repeats else 'guidellm'}"
    return Files(f"{stem}.json", f"{stem}.html", f"{stem}.log", f"{stem}.hung.log")


PREFETCH = 64  # prompts made ahead; GuideLLM's 4096 would cost the server its CPU at the start of each strategy
REPEAT_SEED_OFFSET = 2_000_003  # other prompts than the sweep's
ERROR_WINDOW = 50  # a strategy ends when more than half of this many requests in a row failed


def build_command(
    settings: Settings, endpoint: Endpoint, workload: Workload, folder: Path, again: LoadPoint | None = None
) -> list[str]:
    """Return the command of the sweep, or of the repeats of the load point `again`.

    Every option after the module's name is GuideLLM's own.
    """
    names = files(settings.name, repeats=again is not None)
    options: dict[str, list[Option]] = {
        "backend": [_backend(endpoint, workload)],
        "profile": [_repeated(settings, again) if again else _profile(settings)],
        "constraint": _constraints(settings),
        "tokenizer": [{"kind": "hf_auto", "model": str(workload.tokenizer)}],
        "data": [_data(workload)],
        "data-loader": [{"kind": "pytorch", "prefetch_factor": PREFETCH}],
        "seed": [{"kind": "static", "value": settings.seed + (REPEAT_SEED_OFFSET if again else 0)}],
        "metrics": [{"kind": "generative", "sample_size": 0, **_objectives(settings)}],
        "output": [
            {"kind": "json", "path": str(folder / names.report)},
            {"kind": "html", "path": str(folder / names.page)},
        ],
    }
    pairs = [part for name, values in options.items() for v in values for part in (f"--{name}", json.dumps(v))]
    return [sys.executable, "-m", "helpers.load_test.driver", "run", *pairs, "--disable-console-interactive"]


def _backend(endpoint: Endpoint, workload: Workload) -> Option:
    target = {"target": endpoint.url, "model": endpoint.model, "request_format": workload.path}
    return {"kind": "openai_http", "verify": True, "validate_backend": False, **target}  # by /health


def _profile(settings: Settings) -> Option:
    streams = list(settings.streams)
    ends = {"initial_streams": streams[0], "max_streams": streams[-1], "max_probes": settings.max_probes}
    by_kind: dict[str, Option] = {
        "sweep": {"sweep_size": settings.sweep_size, "max_concurrency": settings.max_concurrency},
        "concurrent": {"streams": streams},
        "knee": {"initial_streams": streams},
        "goodput": ends,
    }
    return {"kind": settings.profile, **by_kind[settings.profile]}


def _repeated(settings: Settings, point: LoadPoint) -> Option:
    """The same load once more, as often as asked: the rate where one was set, else as many requests in flight."""
    if point.rate:
        return {
            "kind": "constant",
            "rate": [point.rate] * settings.repeats,
            "max_concurrency": settings.max_concurrency,
        }
    return {"kind": "concurrent", "streams": [point.streams or settings.max_concurrency] * settings.repeats}


def _constraints(settings: Settings) -> list[Option]:
    """A load ends by its answers or by its time; MIN_REQUESTS keeps the load up until the last of them has come."""
    limits: list[Option] = [{"kind": "max_duration", "seconds": settings.max_seconds or LONGEST}]
    if settings.max_requests:
        limits.append({"kind": "max_requests", "count": settings.max_requests})
    else:
        count = math.ceil(settings.min_requests / (1 - settings.error_limit))  # some may fail, and are counted too
        limits.append({"kind": "min_requests", "count": count})
    errors = {"kind": "max_error_rate", "rate": 0.5, "window": ERROR_WINDOW, "stopping_scope": "all"}
    return [*limits, errors, _over_saturation(settings)]


def _over_saturation(settings: Settings) -> Option:
    """GuideLLM's detector, which watches and does not stop; by default it would begin when a strategy is over."""
    late = {"minimum_ttft": settings.slo_ttft_ms / 1000} if settings.slo_ttft_ms else {}
    begins = min(30.0, (settings.max_seconds or LONGEST) / 2)
    return {"kind": "over_saturation", "mode": "monitor", "min_seconds": begins, **late}


def _data(workload: Workload) -> Option:
    if workload.prompts:
        return {"kind": "prompt_file", "path": str(workload.prompts)}
    tokens = {"prompt_tokens": (workload.prompt_tokens or 1) * workload.unit, "output_tokens": workload.output_tokens}
    return {"kind": "synthetic_text", **tokens}


def _objectives(settings: Settings) -> Option:
    slo = settings.slo
    names = {"ttft_ms": slo.ttft_ms, "tpot_ms": slo.itl_ms, "e2el_ms": slo.e2e_ms}
    limits = {name: value for name, value in names.items() if value}
    return {"slo": limits} if limits else {}


def build_environment(
    settings: Settings, kept: Path, made: Path, environment: Mapping[str, str], *, plain: bool = False
) -> dict[str, str]:
    """Return the process environment: GuideLLM's settings, tuned so that a strategy costs about a second on top.

    What lies in `kept` is not measured again; each load that ends is written into `made`. `plain` requests hold
    OpenAI's own arguments only.
    """
    package = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (package, environment.get("PYTHONPATH"))))
    return {
        **without_secrets(environment, keep=(ENDPOINT_KEY,)),
        "PYTHONPATH": path,
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore:resource_tracker",  # the driver ends without taking its pools down in order
        "HF_HUB_OFFLINE": environment.get("HF_HUB_OFFLINE", "1"),
        "COLUMNS": "160",
        "GUIDELLM__MP_CONTEXT_TYPE": "forkserver",
        "GUIDELLM__MAX_WORKER_PROCESSES": str(settings.workers or min(10, max(1, (os.cpu_count() or 2) // 2))),
        "GUIDELLM__SCHEDULER_START_DELAY_NON_DISTRIBUTED": "0.1",
        "GUIDELLM__MP_POLL_INTERVAL": "0.05",
        "ASSAY_WARMUP_REQUESTS": str(settings.warmup),
        "ASSAY_PLAIN_REQUESTS": "true" if plain else "",
        "ASSAY_KEPT_LOADS": str(kept),
        "ASSAY_MADE_LOADS": str(made),
    }
