"""Edges of vLLM's latency histograms: between two of them an SLO is only estimated, on one it is counted exactly."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from helpers.runtime.environment import without_secrets
from helpers.runtime.parameters import words

OPTION = "--custom-histogram-buckets"
FAMILIES = {"ttft": "time_to_first_token", "itl": "inter_token_latency", "e2e": "request_latency"}  # vLLM's names
EDGES = tuple(digits * 10.0**power for power in range(-3, 3) for digits in (1, 2.5, 5, 7.5))  # s
AROUND = (0.5, 0.75, 1, 1.5, 2)  # further edges, as parts of an SLO
# `vllm` itself is not imported, which takes seconds.
KNOWN = (
    "import importlib.util as u, pathlib as p; s = u.find_spec('vllm'); "
    f"print('{OPTION}' in p.Path(s.origin).with_name('engine').joinpath('arg_utils.py').read_text())"
)


def seconds(milliseconds: float) -> float:
    """Return seconds, rounded so that rules and server name an edge alike."""
    return round(milliseconds / 1000, 6)


def parse(limits: str) -> dict[str, list[float]]:
    """Return the limits of `ttft:500,itl:50` in seconds, by objective. Raises ValueError."""
    found: dict[str, list[float]] = {}
    for word in words(limits):
        name, _, value = word.partition(":")
        if name not in FAMILIES or not 0 < float(value) <= 3_600_000:
            raise ValueError(f"{word!r} is no limit: write ttft:500,itl:50,e2e:2000, in ms")
        found.setdefault(name, []).append(seconds(float(value)))
    return found


def arguments(limits: str) -> list[str]:
    """Return vLLM's argument that puts each limit on an edge, nothing without limits."""
    found = parse(limits)
    if (
        "ttft" in found
    ):  # waiting in the queue, which has the edges of whole requests, is part of the first token's time
        found["e2e"] = [*found.get("e2e", []), *found["ttft"]]
    given = {FAMILIES[name]: _edges(values) for name, values in found.items()}
    return [f"{OPTION}={json.dumps(given, separators=(',', ':'))}"] if given else []


def _edges(limits: list[float]) -> list[float]:
    own = [part * limit for limit in limits for part in AROUND]
    return sorted({round(edge, 6) for edge in (*EDGES, *own)})


def known(python: Path, environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether the vLLM of an interpreter takes edges; older ones end at an argument that they do not know."""
    kept = without_secrets(environment)
    try:
        done = subprocess.run([str(python), "-c", KNOWN], capture_output=True, text=True, timeout=60, env=kept)
    except subprocess.TimeoutExpired:
        return False
    return done.stdout.strip() == "True"
