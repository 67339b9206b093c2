"""Ingestion in processes that are killed: forked from one that has imported everything, so that each starts at once.

As a program it reads requests from its input, a JSON line each, and answers in kind. Nothing is inspected here: that
takes longer than all the rest together and writes nothing outside the quarantine.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.workspace import ROOT

NEEDED = (
    "helpers.ingestion.gate", "helpers.ingestion.modelcar", "helpers.registry", "model_registry", "httpx", "tenacity",
    "model_signing._signing.sign_ec_key", "cyclonedx.output.json", "cyclonedx.contrib.license.factories",
    "safetensors", "numpy", "yaml", "oras.container", "oras.auth.utils", "obstore.store",
)  # fmt: skip


class Killer:
    """Runs an ingestion, or several at once, and kills them after so many seconds."""

    def __init__(self, program: subprocess.Popen) -> None:
        self.program = program

    def run(self, kill: float | None = None, times: int = 1, **request: object) -> dict[str, object]:
        """Return the exit codes, the seconds that it took, and when each thing was reached."""
        names = ("ASSAY_HOME", "REGISTRY", "STORE_AWS", "OCI_", "SIGNING_")
        known = {name: value for name, value in os.environ.items() if name.startswith(names)}
        asked = {"kill": kill, "times": times, "environment": known, **request}
        self.program.stdin.write(json.dumps(asked) + "\n")
        self.program.stdin.flush()
        return json.loads(self.program.stdout.readline())


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    """The process that forks."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-m", __name__], cwd=ROOT, **pipes) as program:
        yield Killer(program)
        program.stdin.close()
        assert program.wait(timeout=30) == 0


def ingest(request: dict, reached: int) -> None:
    """Ingest as the gate does, without the inspection."""
    from helpers.ingestion import gate
    from helpers.ingestion.findings import Inspection
    from helpers.registry import connect

    def mark(name: str, work):
        def marked(*given, **options):
            os.write(reached, f"{name} {time.monotonic()}\n".encode())
            return work(*given, **options)

        return marked

    os.environ.update(request["environment"])
    gate.inspect = lambda folder, policy, *, source: Inspection(
        source=source, files=1, size_bytes=1, policy_digest=policy.digest
    )
    gate.seal, gate.publish = mark("seal", gate.seal), mark("publish", gate.publish)
    settings = gate.Settings(**request["settings"])
    registry = connect("local")
    mark("start", gate.ingest)(settings, registry)
    mark("end", lambda: None)()


def fork(request: dict, reached: int, log: Path) -> int:
    """Start a child in a process group of its own."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setpgid(0, 0)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout = sys.stderr = os.fdopen(2, "w", closefd=False)
        ingest(request, reached)
        code = 0
    except Exception:  # noqa: BLE001 - the log says which
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(pids: list[int], seconds: float | None) -> list[int]:
    """Wait for the children, for so many seconds, then kill them; return how they ended."""
    handles = {os.pidfd_open(pid): pid for pid in pids}
    deadline, codes = time.monotonic() + (600 if seconds is None else seconds), {}
    while len(codes) < len(pids):
        ready, _, _ = select.select(list(handles), [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            for pid in handles.values():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
            deadline += 600
        for handle in ready:
            pid = handles.pop(handle)
            codes[pid] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            os.close(handle)
    return [codes[pid] for pid in pids]


def main() -> None:
    """Answer requests until the input ends."""
    for name in NEEDED:
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        reading, writing = os.pipe()
        log, started = Path(request["log"]), time.monotonic()
        codes = ended([fork(request, writing, log) for _ in range(request["times"])], request["kill"])
        os.close(writing)
        seconds = time.monotonic() - started
        with os.fdopen(reading) as marks:
            reached = {name: float(when) - started for name, when in (mark.split() for mark in marks)}
        print(json.dumps({"codes": codes, "seconds": seconds, "reached": reached}), flush=True)


if __name__ == "__main__":
    main()
