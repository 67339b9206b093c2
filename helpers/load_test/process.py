"""Run GuideLLM as a process of its own: progress while it runs, a log, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

PROGRESS = re.compile(r"Benchmark (\d+) \((.+?)\): (\w+) \| elapsed=([\d.]+)s \| successful=(\d+) errored=(\d+)")
MILESTONE = re.compile(r"^assay: |Benchmark \d+ \(.+?\): (started|completed|compile)")
COMPLETED = re.compile(r"Benchmark \d+ \(.+?\): completed")
RATE = re.compile(r"requests/s=([\d.]+)")
QUIET_SECONDS, POLL_SECONDS = 10.0, 0.5
GRACE_SECONDS = 1.0
Say = Callable[[str], None]
Process = subprocess.Popen[bytes]
Lines = queue.Queue[str | None]


def run(
    command: list[str],
    environment: Mapping[str, str],
    log: Path,
    strategies: int,
    say: Say,
    limit: float,
    ended: Callable[[], None] = lambda: None,
    longest: float = 0.0,
) -> int | None:
    """Run the command to its end, say how it goes, write its output to `log`; return its exit code.

    `ended` is called after each strategy, and what it raises ends the process. Where no strategy starts or ends for
    `limit` seconds it hangs: it is ended, with the stacks of its threads in the log, and None returned. Whatever
    interrupts this (Ctrl-C too) ends the process and all of its workers.
    """
    lines: Lines = queue.Queue()
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.PIPE,  # never written: the driver ends itself when it closes
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None
        reader = threading.Thread(target=_copy, args=(process.stdout, file, lines), daemon=True)
        try:
            reader.start()
            if _follow(process, lines, strategies, say, limit, ended, longest):
                return process.wait()
            process.send_signal(signal.SIGUSR1)
            return None
        finally:
            _end(process)
            reader.join(GRACE_SECONDS)


def _copy(source: IO[bytes], log: IO[bytes], lines: Lines) -> None:
    with source:
        for raw in source:
            log.write(raw)
            log.flush()
            lines.put(raw.decode("utf-8", "replace").rstrip())
    lines.put(None)


def _follow(
    process: Process, lines: Lines, strategies: int, say: Say, limit: float, ended: Callable[[], None], longest: float
) -> bool:
    """Say what the lines tell until they end; return False when no strategy starts or ends for `limit` seconds."""
    started = heard = last = time.monotonic()
    shown = ""
    while (moment := time.monotonic()) - last < limit:
        try:
            line = lines.get(timeout=POLL_SECONDS)
        except queue.Empty:
            if process.poll() is not None:  # a worker that it left behind holds the output open
                return True
            if moment - heard > QUIET_SECONDS:
                say(f"… {moment - started:.0f} s since the start, nothing new for {QUIET_SECONDS:.0f} s")
                heard = moment
            continue
        if line is None:
            return True
        heard = time.monotonic()
        last = heard if MILESTONE.search(line) else last
        if (text := describe(line, strategies, longest)) and text != shown:
            say(text)
            shown = text
        if COMPLETED.search(line):
            ended()
    return False


def describe(line: str, strategies: int, longest: float = 0.0) -> str | None:
    """Return one of GuideLLM's progress lines as a person would say it, None for any other line.

    `longest` is how many seconds a strategy may take, 0 where it is not bounded.
    """
    if line.startswith("assay: "):
        return line.removeprefix("assay: ")
    if not (found := PROGRESS.search(line)) or found[3] == "compile":
        return None
    number, name, state, seconds, good, bad = found.groups()
    total = max(int(number), strategies)  # a sweep tries fewer requests at once where none was answered
    if state == "started":
        return f"strategy {number} of {total}, {name}"
    rate = RATE.search(line)
    speed = f", {rate[1]} requests/s" if rate else ""
    done = " (done)" if state == "completed" else ""
    here = 0.0 if done else max(0.0, longest - float(seconds))
    rest = here + (total - int(number)) * longest
    left = f", at most {rest:.0f} s left" if longest and rest else ""
    return f"strategy {number} of {total}, {name}: {seconds} s, {good} answered, {bad} failed{speed}{done}{left}"


def _end(process: Process) -> None:
    """End the whole process group, politely first."""
    if process.poll() is None:
        _signal(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    _signal(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
