"""Follow a child that asks the server, show what it says, and raise what it reports."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from helpers import errors
from helpers.runtime import memory, partial
from helpers.runtime.environment import masked
from helpers.runtime.keeper import OVER

SHOWN_LINES = 30  # of the log, where the child fails
GRACE = 5  # s for a keeper to end what it keeps


def follow(
    command: list[str],
    environment: dict[str, str],
    path: Path,
    show: Callable[[str], object],
    now_and_then: Callable[[], object] = lambda: None,
    *,
    key: str = "",
    limit: float | None = None,
    most: float | None = None,
    cwd: Path | None = None,
    tool: str = "lm-eval",
) -> None:
    """Show what the child says until it ends, `limit` seconds at most. Raises what it reports, or EvaluationFailed.

    `most` is how many GiB its keeper lets it have.
    """
    failure: errors.AssayError | None = None
    kills = memory.kills()
    with (
        path.open("ab") as log,
        _child(command, environment, log.fileno(), cwd) as process,
        _ended(process, limit) as late,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(f"{key}\n")
        for line in process.stdout:
            if line.startswith("FAILURE "):
                failure = told(line.removeprefix("FAILURE "))
            else:
                show(masked(line.rstrip()))
                now_and_then()
        code = process.wait()
    if late.is_set():
        raise errors.EvaluationFailed(
            f"{tool} was ended after {limit:g} s, the time limit of a task",
            do=f"See in {path} what it did so long; raise TIME_LIMIT, then {partial.anew()}",
        )
    if most and code == OVER:
        raise errors.EvaluationFailed(
            f"{tool} was ended: its processes held more than {most:g} GiB of memory, the limit",
            do=f"See in {path} what it did; raise MEMORY_LIMIT where {tool} itself needs more, then {partial.anew()}",
        )
    if failure:
        raise failure
    if code:
        show("\n".join([f"The end of {path}:", *_lines(path)[-SHOWN_LINES:]]))
        killed = code in (-signal.SIGKILL, 128 + signal.SIGKILL) or memory.kills() > kills
        raise _failure(tool, code, _lines(path), killed=killed)


def told(line: str) -> errors.AssayError | None:
    """Return the error that a child reports; what a task's code writes in that form by itself may be anything."""
    try:
        known = json.loads(line)
        kind = getattr(errors, known["kind"])
        if isinstance(kind, type) and issubclass(kind, errors.AssayError):
            return kind(str(known["what"]), do=str(known["do"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return None


@contextlib.contextmanager
def _ended(process: subprocess.Popen[str], limit: float | None) -> Iterator[threading.Event]:
    """End the process after `limit` seconds; the event says whether that was done."""
    late = threading.Event()

    def end() -> None:
        late.set()
        _end(process)

    timer = threading.Timer(limit or 0, end)
    timer.daemon = True
    if limit:
        timer.start()
    try:
        yield late
    finally:
        timer.cancel()


def _end(process: subprocess.Popen[str]) -> None:
    """End the process: its keeper ends all that came of it, whatever their group; without one the group is ended."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
        os.killpg(process.pid, signal.SIGKILL)


def _failure(tool: str, code: int, lines: list[str], *, killed: bool) -> errors.EvaluationFailed:
    if killed:
        do = f"{memory.more()}, or ask for less at once (NUM_CONCURRENT, BATCH_SIZE), then {partial.anew()}"
        return errors.EvaluationFailed(f"{tool} {memory.killed()}", do=do)
    last = lines[-1][:400] if lines else "none"
    return errors.EvaluationFailed(
        f"{tool} ended with exit code {code}; its last words: {last}",
        do=f"Read the end of its log above, then {partial.again()}: it goes on from what was answered",
    )


def _lines(log: Path) -> list[str]:
    return [line.rstrip() for line in masked(log.read_text("utf-8", "replace")).splitlines() if line.strip()]


@contextlib.contextmanager
def _child(
    command: list[str], environment: dict[str, str], log: int, cwd: Path | None
) -> Iterator[subprocess.Popen[str]]:
    """Start the child, and end its whole process group whatever happens."""
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        yield process
    finally:
        _end(process)
        process.wait()
        process.stdout.close()
