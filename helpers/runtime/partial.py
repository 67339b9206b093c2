"""What a measuring stage keeps while it works, so that it goes on from there when it is run again.

It lies in `partial/` beside the artifacts, which a pod's mirror carries into the run's folder of the bucket. Each stage
keeps there only what the guard stood for: what was measured before the server was last known to be the deployed one.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Protocol

from helpers.artifacts import Endpoint, run

FOLDER = "partial"
REPORT = ".guidellm.json"  # how GuideLLM's own ends, which takes the place of the single loads
RUNTIME = "ELYRA_RUNTIME_ENV"  # set by Elyra: `kfp` in a pod of Pipelines, `local` under its local processor


class Guard(Protocol):
    """What knows whether the server that answers is the one that was deployed."""

    def check(self) -> None:
        """Raise ServerChanged where it is another one."""


class Unguarded:
    """A guard for an endpoint that nothing is known of."""

    def check(self) -> None:
        """Let everything pass."""


def served(endpoint: Endpoint) -> dict[str, Any]:
    """Return what is the same wherever the same model is served in the same way."""
    return {
        "model": endpoint.digest or f"{endpoint.url} {endpoint.model}",
        "engine": [endpoint.engine, endpoint.engine_version],
        "engine_args": endpoint.engine_options,
        "max_model_len": endpoint.max_model_len,
        "kv_cache_gib": endpoint.kv_cache_gib,
        "hardware": [endpoint.hardware.type, endpoint.hardware.count],
    }


def fingerprint(endpoint: Endpoint, folder: Path, **parts: Any) -> str:
    """Name what must be the same for partial work to be gone on from: the run, what is served, and `parts`."""
    content = {"run": run.current(folder), "name": endpoint.model, "served": served(endpoint), **parts}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def kept(folder: Path) -> list[str]:
    """Return what partial work there is in a folder of artifacts, for example ["2 loads", "96 answers"]."""
    files = [path for path in (folder / FOLDER).rglob("*") if path.is_file()]
    loads = sum(path.suffix == ".json" and path.stem.isdigit() for path in files)
    whole = any(path.name.endswith(REPORT) for path in files)
    answers = sum(max(0, len(path.read_bytes().splitlines()) - 1) for path in files if path.suffix == ".jsonl")
    told = {"every load of the sweep": whole, f"{loads} load{'s'[: loads > 1]}": loads and not whole}
    return [what for what, there in {**told, f"{answers:,} answers": answers}.items() if there]


def in_run() -> bool:
    """Return whether this is a node's pod of Pipelines."""
    return os.environ.get(RUNTIME) == "kfp"


def again() -> str:
    """Say how a stage is run again here: in a pod of a pipeline it cannot be, only the run can."""
    if in_run():
        return "retry the run in the dashboard, or submit it again"
    return "run this stage again"


def anew() -> str:
    """Say how a stage is run with other parameters or more memory, which a retry of the run does not change."""
    return "submit the pipeline again" if in_run() else "run this stage again"
