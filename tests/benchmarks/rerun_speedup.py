"""An evaluation against real vLLM, and the same one again in another folder, as another run of a pipeline asks it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from helpers.artifacts import Endpoint, Evaluation, Selection
from helpers.records import logbook
from helpers.registry import connect
from helpers.runtime.workspace import ROOT
from tests.benchmarks.served import served
from tests.plugins.records import CHAT, a_sweep, about
from tests.plugins.registry import MEMORY, serving

QUESTIONS, WANTED = 160, 30
# What the notebook's cells do, each run in a process of its own: what a kernel imports before the call is not counted.
STAGE = """
import sys, time
from pathlib import Path
from helpers.evaluation import lm_eval
from helpers.records import reuse
from helpers.artifacts import Endpoint, Evaluation
folder, questions, registry = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
endpoint, known = Endpoint.read(folder), reuse.Settings(registry=registry)
settings = lm_eval.Settings(include_path=questions, limit=int(sys.argv[4]))
started = time.perf_counter()
reuse.evaluate(settings, endpoint, known, folder, lambda line: print(line, file=sys.stderr)).write(folder)
print(time.perf_counter() - started)
"""


def measure() -> list[dict[str, object]]:
    """Return the figure."""
    with (
        served("ops-large") as endpoint,
        serving(MEMORY) as server,
        tempfile.TemporaryDirectory(prefix="assay-rerun-") as folder,
    ):
        first, second = Path(folder, "first"), Path(folder, "second")
        _stage(endpoint, Path(folder, "warm-up"), server.address, 20)
        _select(endpoint, first, server.address)
        fresh = _stage(endpoint, first, server.address)
        _log(first, server.address)
        again = _stage(endpoint, second, server.address)
        taken = Evaluation.read_named("knowledge", second).taken_from
    figure: dict[str, object] = {
        "figure": "rerun_speedup",
        "value": round(fresh / again, 1),
        "wanted": WANTED,
        "fresh_seconds": round(fresh, 2),
        "rerun_seconds": round(again, 3),
        "questions": QUESTIONS,
        "taken_over": bool(taken),
    }
    return [figure]


def _stage(endpoint: Endpoint, folder: Path, registry: str, questions: int = QUESTIONS) -> float:
    endpoint.write(folder)
    task = ROOT / "datasets" / "ops-assistant"
    command = [sys.executable, "-c", STAGE, str(folder), str(task), registry, str(questions)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.split()[-1])


def _select(endpoint: Endpoint, folder: Path, address: str) -> None:
    """Begin a run in the folder: what is measured there is of this selection."""
    named = {"uri": "file:///model", "digest": endpoint.digest, "size_bytes": 1}
    connect(address).register_candidate("ops-large", "1.0.0", **named).write(folder)


def _log(folder: Path, address: str) -> None:
    """Record the evaluation as log_results does."""
    about(Selection.read(folder), a_sweep()).write(folder)
    (folder / CHAT.report).write_text("{}")
    logbook.log(logbook.Settings(store=(folder.parent / "store").as_uri()), connect(address), folder)
