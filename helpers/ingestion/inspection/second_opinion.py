"""modelscan as a second opinion, asked in a process of its own that sees the files and no secret, in bounds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from helpers.ingestion.findings import Finding
from helpers.ingestion.names import shown
from helpers.runtime import sandbox

SCRIPT = Path(__file__).with_name("modelscan_script.py")
SECONDS = 30
UNKNOWN = "Remove what modelscan cannot read"


def ask_modelscan(folder: Path, names: list[str]) -> Iterator[Finding]:
    """Yield what modelscan says of these files, each taken for a pickle or an archive whatever its name."""
    question = json.dumps({"folder": str(folder), "names": names, "seconds": SECONDS}).encode()
    environment = sandbox.allowed() | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        with TemporaryDirectory(prefix="assay-modelscan-") as work:
            command = sandbox.walled([sys.executable, "-I", str(SCRIPT)], Path(work), reads=[folder], ports=())
            done = subprocess.run(
                command, input=question, capture_output=True, timeout=2 * SECONDS, env=environment, check=True
            )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        said = (error.stderr or b"").decode(errors="replace").split("\n")
        why = next((line for line in reversed(said) if line.strip()), "") or "it took too long"
        yield Finding(".", "modelscan", "high", f"modelscan gave no answer: {why[:120]!a}", UNKNOWN)
        return
    for name, severity, problem in json.loads(done.stdout):
        yield Finding(shown(name), "modelscan", severity, f"{problem}, says modelscan", "Remove it")
