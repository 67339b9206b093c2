"""`make run` in a fresh clone with an empty home, and again: seconds and the peak of resident memory."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

import psutil

from helpers.runtime.workspace import ROOT


def measure() -> list[dict[str, object]]:
    """Return cold_run_seconds, warm_run_seconds and peak_memory_gib."""
    with tempfile.TemporaryDirectory(prefix="assay-clone-") as folder:
        clone = Path(folder, "assay")
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        (home := Path(folder, "home")).mkdir()
        try:
            cold, first = _run(clone, home)
            warm, second = _run(clone, home)
        finally:
            subprocess.run(["make", "down"], cwd=clone, check=True, capture_output=True)
    values = {
        "cold_run_seconds": round(cold),
        "warm_run_seconds": round(warm),
        "peak_memory_gib": round(max(first, second) / 2**30, 2),
    }
    return [{"figure": figure, "value": value} for figure, value in values.items()]


def _run(clone: Path, home: Path) -> tuple[float, int]:
    # The package cache is kept: it is what "warm package cache aside" means. Nothing is taken over from the first run.
    environment = os.environ | {"HOME": str(home), "UV_CACHE_DIR": str(Path.home() / ".cache" / "uv"), "FRESH": "true"}
    started, peak = time.monotonic(), 0
    log = home / "make-run.log"
    with log.open("ab") as file:
        process = subprocess.Popen(["make", "run"], cwd=clone, env=environment, stdout=file, stderr=file)
        while process.poll() is None:
            peak = max(peak, _memory(clone))
            time.sleep(1)
    if process.returncode:
        raise SystemExit(f"make run failed in the clone:\n{log.read_text()[-4000:]}")
    return time.monotonic() - started, peak


def _memory(clone: Path) -> int:
    """Return the memory of every process that runs something of the clone, shared pages counted once (PSS)."""
    total = 0
    for process in psutil.process_iter():
        try:
            if str(clone) in " ".join([process.cwd(), *process.cmdline()]):
                total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total
