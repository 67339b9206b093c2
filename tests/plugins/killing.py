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

from helpers.runtime.workspace import ROOT

NEEDED = (
    "helpers.ingestion.gate", "helpers.ingestion.publication.modelcar", "helpers.registry",
    "httpx",
    "model_signing._signing.sign_ec_key", "cyclonedx.output.json", "cyclonedx.contrib.license.factories",
    "safetensors", "numpy", "yaml", "oras.container", "oras.auth.utils", "obstore.store",
)  # fmt: skip


class Killer:
    """Runs an ingestion, or several at once, and kills them."""

    def __init__(self, program: subprocess.Popen) -> None:
        self.program = program

    def run(
        self, phase: str = "", seconds: float | None = None, times: int = 1, **request: object
    ) -> dict[str, object]:
        """Return the exit codes and when each phase was reached; kills so many seconds after `phase` was."""
        names = ("ASSAY_HOME", "REGISTRY", "STORE_AWS", "OCI_", "SIGNING_")
        known = {name: value for name, value in os.environ.items() if name.startswith(names)}
        asked = {"phase": phase, "seconds": seconds, "times": times, "environment": known, **request}
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
            done = work(*given, **options)
            os.write(reached, f"after-{name} {time.monotonic()}\n".encode())
            return done

        return marked

    os.environ.update(request["environment"])
    gate.inspect = lambda folder, policy, *, source, **_: Inspection(
        source=source, files=1, size_bytes=1, policy_digest=policy.digest
    )
    gate.publish = mark("publish", gate.publish)
    settings = gate.Settings(**request["settings"])
    registry = connect("local")
    mark("ingest", gate.ingest)(settings, registry)


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


class Watch:
    """Waits for the children, and kills them so many seconds after one of them reached a phase."""

    def __init__(self, pids: list[int], reading: int, phase: str, seconds: float | None) -> None:
        self.handles = {os.pidfd_open(pid): pid for pid in pids}
        self.reading, self.phase, self.seconds = reading, phase, seconds
        self.deadline, self.codes, self.reached = time.monotonic() + 300, [], {}

    def run(self) -> None:
        while self.handles:
            ready, _, _ = select.select([*self.handles, self.reading], [], [], max(self.deadline - time.monotonic(), 0))
            if not ready:
                self.kill()
            for handle in ready:
                self.read() if handle == self.reading else self.reap(handle)
        self.read()

    def read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for mark in os.read(self.reading, 1 << 16).decode().splitlines():
                name, when = mark.split()
                self.reached[name] = float(when)
                if name == self.phase and self.seconds is not None:
                    self.deadline = float(when) + self.seconds

    def kill(self) -> None:
        for pid in self.handles.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        self.deadline += 300

    def reap(self, handle: int) -> None:
        self.codes.append(os.waitstatus_to_exitcode(os.waitpid(self.handles.pop(handle), 0)[1]))
        os.close(handle)


def main() -> None:
    """Answer requests until the input ends."""
    for name in NEEDED:
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        reading, writing = os.pipe2(os.O_NONBLOCK)
        log = Path(request["log"])
        pids = [fork(request, writing, log) for _ in range(request["times"])]
        watch = Watch(pids, reading, request["phase"], request["seconds"])
        watch.run()
        os.close(reading)
        os.close(writing)
        print(json.dumps({"codes": watch.codes, "reached": watch.reached}), flush=True)


if __name__ == "__main__":
    main()
