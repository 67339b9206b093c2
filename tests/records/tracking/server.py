"""A real MLflow server in an environment of its own (`make mlflow`)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from helpers.runtime.polling import wait_for
from helpers.runtime.workspace import ROOT
from helpers.serving.local import _free_port

MLFLOW = ROOT / ".venv-mlflow" / "bin" / "mlflow"
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "DO_NOT_TRACK": "true"}


@contextmanager
def mlflow(folder: Path) -> Iterator[str]:
    """Serve an empty MLflow until the block ends; yields its address."""
    assert MLFLOW.is_file(), "make mlflow"
    port, log = _free_port(), folder / "log"
    command = [
        *(str(MLFLOW), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "artifacts")),
    ]
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env={**known, **QUIET}, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return httpx.get(f"{url}/health", timeout=5).is_success
        except httpx.HTTPError:
            return False

    try:
        wait_for(answers, what=f"{url}/health", do=f"Read {log}", timeout=300, interval=0.5)
        yield url
    finally:
        os.killpg(process.pid, 15)
        process.wait(60)
