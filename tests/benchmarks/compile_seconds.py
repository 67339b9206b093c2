"""How long `make compile` takes for all pipelines, from an environment whose modules have been imported before."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from helpers.pipelines import names
from helpers.runtime.workspace import ROOT

REPEATS = 3


def measure() -> list[dict[str, object]]:
    """Return the figure: the median of REPEATS, after one that lets Python keep its bytecode."""
    # Where bytecode may not be written, every start compiles a thousand modules anew.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONHASHSEED": "0"}
    seconds = []
    with tempfile.TemporaryDirectory(prefix="assay-compile-") as folder:
        command = [sys.executable, "-m", "helpers.pipelines", "compile", "--out", folder]
        for _ in range(1 + REPEATS):
            started = time.monotonic()
            subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=300)
            seconds.append(time.monotonic() - started)
        written = len(list(Path(folder).glob("*.yaml")))
    assert written == len(names())
    value = round(statistics.median(seconds[1:]), 2)
    return [{"figure": "compile_seconds", "value": value, "pipelines": written, "first": round(seconds[0], 2)}]
