"""How long compare_models takes over 200 records of 208 questions each, with the start of its kernel."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from helpers.registry import Registry, connect
from helpers.runtime.workspace import ROOT
from tests.plugins.records import a_record, a_sweep, some_samples
from tests.plugins.registry import serving
from tests.plugins.stored import attach, repeated, stored

RECORDS, QUESTIONS = 200, 208
NOTEBOOK, PRICES = ROOT / "notebooks" / "compare_models.ipynb", ROOT / "pipelines" / "prices.yaml"


def measure() -> list[dict[str, object]]:
    """Return the wall-clock seconds of the whole execution, and those that the processors worked for it."""
    with tempfile.TemporaryDirectory(prefix="assay-compare-") as name, serving(Path(":memory:")) as server:
        folder = Path(name)
        fill(connect(server.address), folder / "store", RECORDS)
        environment = os.environ | {"PYTHONPATH": str(ROOT), "REGISTRY": server.address, "PRICES": str(PRICES)}
        environment["CRITERIA"] = str(ROOT / "datasets" / "ops-assistant" / "criteria.yaml")
        command = [sys.executable, "-m", "papermill", "--no-progress-bar", str(NOTEBOOK), "compared.ipynb"]
        before, started = _children(), time.perf_counter()
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
        seconds, worked = time.perf_counter() - started, _children() - before
        written = json.loads((folder / "artifacts" / "comparison.json").read_text())
        assert len(written["standings"]) == RECORDS
    figure = {"figure": "compare_seconds", "records": RECORDS, "questions": QUESTIONS, "pairs": len(written["pairs"])}
    return [{**figure, "value": round(seconds, 1), "cpu_seconds": round(worked, 1)}]


def _children() -> float:
    times = psutil.Process().cpu_times()
    return float(times.children_user + times.children_system)


def fill(registry: Registry, store: Path, records: int) -> None:
    """Write so many versions with their records and raw files, as many runs leave them."""
    source = random.Random(records)
    for number in range(records):
        samples = some_samples(source.uniform(0.35, 0.9), n=QUESTIONS, seed=number)
        sweep = repeated(a_sweep(source.uniform(0.6, 6.0)), source)
        attach(registry, *stored(a_record(f"model-{number:03}", samples=samples, sweep=sweep), samples, store, source))
