"""Settings in, GuideLLM's command line and environment out; nothing is run here."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from helpers.artifacts import Endpoint, LoadPoint
from helpers.benchmark.settings import Settings
from helpers.benchmark.workload import Workload
from helpers.environment import without_secrets

Option = dict[str, Any]


class Files(NamedTuple):
    """What one run of GuideLLM leaves; `hung` is the log of an attempt that was given up."""

    report: str
    page: str
    log: str
    hung: str


def files(stem: str) -> Files:
    """Return the names for one run."""
    return Files(f"{stem}.json", f"{stem}.html", f"{stem}.log", f"{stem}.hung.log")


SWEEP, REPEATS = files("guidellm"), files("guidellm_repeats")
PREFETCH = 64  # prompts made ahead; GuideLLM's 4096 would cost the server its CPU at the start of each strategy
REPEAT_SEED_OFFSET = 2_000_003  # other prompts than the sweep's
ERROR_WINDOW = 50  # a strategy ends when more than half of this many requests in a row failed


def build_command(
    settings: Settings, endpoint: Endpoint, workload: Workload, folder: Path, again: LoadPoint | None = None
) -> list[str]:
    """Return the command of the sweep, or of the repeats of the load point `again`.

    Every option after the module's name is GuideLLM's own.
    """
    names = REPEATS if again else SWEEP
    options: dict[str, list[Option]] = {
        "backend": [{"kind": "openai_http", "target": endpoint.url, "model": endpoint.model, "verify": True}],
        "profile": [_repeated(settings, again) if again else _profile(settings)],
        "constraint": _constraints(settings),
        "tokenizer": [{"kind": "hf_auto", "model": str(endpoint.tokenizer_folder())}],
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
    return [sys.executable, "-m", "helpers.benchmark.driver", "run", *pairs, "--disable-console-interactive"]


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
    streams = 1 if point.strategy == "synchronous" else _in_flight(point, settings)
    return {"kind": "concurrent", "streams": [streams] * settings.repeats}


def _in_flight(point: LoadPoint, settings: Settings) -> int:
    asked = point.strategy.rpartition("@")[2]
    return int(float(asked)) if asked.replace(".", "").isdigit() else settings.max_concurrency


def _constraints(settings: Settings) -> list[Option]:
    limits: list[Option] = [{"kind": "max_duration", "seconds": settings.max_seconds}]
    if settings.max_requests:
        limits.append({"kind": "max_requests", "count": settings.max_requests})
    errors = {"kind": "max_error_rate", "rate": 0.5, "window": ERROR_WINDOW, "stopping_scope": "all"}
    return [*limits, errors, _over_saturation(settings)]


def _over_saturation(settings: Settings) -> Option:
    """GuideLLM's detector, which watches and does not stop; by default it would begin when a strategy is over."""
    late = {"minimum_ttft": settings.slo_ttft_ms / 1000} if settings.slo_ttft_ms else {}
    return {"kind": "over_saturation", "mode": "monitor", "min_seconds": min(30.0, settings.max_seconds / 2), **late}


def _data(workload: Workload) -> Option:
    if workload.prompts:
        return {"kind": "prompt_file", "path": str(workload.prompts)}
    tokens = {"prompt_tokens": workload.prompt_tokens, "output_tokens": workload.output_tokens}
    return {"kind": "synthetic_text", **tokens}


def _objectives(settings: Settings) -> Option:
    slo = settings.slo
    names = {"ttft_ms": slo.ttft_ms, "tpot_ms": slo.itl_ms, "e2el_ms": slo.e2e_ms}
    limits = {name: value for name, value in names.items() if value}
    return {"slo": limits} if limits else {}


def build_environment(settings: Settings, kept: Path, made: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the process environment: GuideLLM's settings, tuned so that a strategy costs about a second on top.

    What lies in `kept` is not measured again; each load that ends is written into `made`.
    """
    package = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (package, environment.get("PYTHONPATH"))))
    return {
        **without_secrets(environment),
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
        "ASSAY_KEPT_LOADS": str(kept),
        "ASSAY_MADE_LOADS": str(made),
    }
