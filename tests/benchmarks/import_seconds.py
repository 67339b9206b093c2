"""How long `python -m helpers.analysis` takes over two lm-eval folders of 12,000 questions each, report included."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from helpers.runtime.workspace import ROOT

QUESTIONS, TASK = 12_000, "ops_assistant"
FACTS = ROOT / "tests" / "facts" / "results" / "lm-eval-0.4.13"


def measure() -> list[dict[str, object]]:
    """Return the wall-clock seconds of the command."""
    with tempfile.TemporaryDirectory(prefix="assay-import-") as name:
        folder = Path(name)
        sources = [_grown(FACTS / each, folder / each) for each in ("smollm2", "ops-large")]
        command = [sys.executable, "-m", "helpers.analysis", *map(str, sources), "--out", str(folder / "out")]
        started = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        seconds = time.perf_counter() - started
    return [{"figure": "import_seconds", "questions": QUESTIONS, "value": round(seconds, 1)}]


def _grown(source: Path, folder: Path) -> Path:
    """Return a copy of a folder whose task has so many questions: its own, again and again under other hashes."""
    shutil.copytree(source, folder)
    (log,), (report,) = folder.glob(f"samples_{TASK}_*"), folder.glob("results_*")
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    again = [
        {**rows[number % len(rows)], "doc_id": number, "doc_hash": f"{number:064x}"} for number in range(QUESTIONS)
    ]
    log.write_text("".join(json.dumps(row) + "\n" for row in again))
    content = json.loads(report.read_text())
    content["n-samples"][TASK] = {"original": QUESTIONS, "effective": QUESTIONS}
    content["results"][TASK]["acc,none"] = sum(row["acc"] for row in again) / QUESTIONS
    content["task_hashes"] = {}
    report.write_text(json.dumps(content))
    return folder
