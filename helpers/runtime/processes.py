"""The server processes that were started on this machine, each remembered in a small file."""

from __future__ import annotations

import contextlib
import os
import signal
from datetime import datetime
from pathlib import Path

import psutil
from pydantic import BaseModel, Field, ValidationError

from helpers.artifacts import write_atomic
from helpers.errors import TimedOut
from helpers.runtime.polling import wait_for
from helpers.runtime.workspace import home


class Running(BaseModel):
    """A server process and its group; `created` guards against a process id that was given again."""

    handle: str
    pid: int
    created: float
    url: str
    log: Path
    started: datetime
    expires: datetime | None = None
    owner: Path = Field(default_factory=Path.cwd, description="folder in which it was started")
    startup_seconds: float | None = None
    run: str = ""
    label: str = Field(default="", description="name and version of the model that it serves")


def _file(handle: str) -> Path:
    return home() / "processes" / f"{handle}.json"


def created(pid: int) -> float:
    """Return when the process was created, seconds since the epoch."""
    return psutil.Process(pid).create_time()


def save(running: Running) -> Running:
    """Remember the process."""
    write_atomic(_file(running.handle), running.model_dump_json(indent=2).encode())
    return running


def find(handle: str) -> Running | None:
    """Return the process of that handle if it is alive; a file whose process is gone is deleted."""
    path = _file(handle)
    if not path.is_file():
        return None
    try:
        running = Running.model_validate_json(path.read_bytes())
    except ValidationError:  # a machine that was switched off leaves an empty file: its processes are gone too
        running = None
    if running and alive(running):
        return running
    path.unlink(missing_ok=True)
    return None


def all_running() -> list[Running]:
    """Return every remembered process that is alive."""
    handles = sorted(path.stem for path in (home() / "processes").glob("*.json"))
    return [running for handle in handles if (running := find(handle))]


def alive(running: Running) -> bool:
    """Return whether this very process still runs."""
    try:
        process = psutil.Process(running.pid)
        return abs(process.create_time() - running.created) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def exit_code(running: Running) -> int | None:
    """Return the exit code of an ended process (-1 where it cannot be known), None while it runs."""
    if alive(running):
        return None
    with contextlib.suppress(ChildProcessError):
        _, status = os.waitpid(running.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status)
    return -1


def _group(running: Running) -> list[psutil.Process]:
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, psutil.Error):
            if os.getpgid(process.pid) == running.pid and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
    return members


def end(running: Running, *, patience: float = 2) -> None:
    """End the whole process group: politely, then after `patience` seconds by SIGKILL; forget it afterwards.

    A server has nothing to save, and the user who pressed Ctrl-C waits.
    """
    for sent, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, 10.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, sent)
        with contextlib.suppress(TimedOut):
            wait_for(
                lambda: not _group(running), what=f"the end of {running.handle}", do="", timeout=wait, interval=0.1
            )
            break
    with contextlib.suppress(ChildProcessError):
        os.waitpid(running.pid, os.WNOHANG)
    _file(running.handle).unlink(missing_ok=True)
