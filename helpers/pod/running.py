"""One node from start to end: Elyra's bootstrapper in a thread, the pod's signals here."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NoReturn

import psutil

from helpers.pod.leaving import free, may_stand, say
from helpers.pod.reasons import REFUSED, Reason, reason

STOPPED = Reason("Terminated: The pod was told to stop: its run was terminated, or its node is being emptied.")
POLITE, UPLOAD = 2.0, 10.0  # seconds of the thirty that Kubernetes gives


class Told(BaseException):
    """The pod was told to stop."""


def main(operation: Callable[[], None]) -> int:
    """Run Elyra's bootstrapper and return the node's exit code; a failed node frees what its run deployed.

    In a thread the notebook's client leaves SIGTERM alone, which would otherwise end the kernel and nothing else.
    """
    ended: SimpleQueue[BaseException | None] = SimpleQueue()

    def run() -> None:
        try:
            operation()
            ended.put(None)
        except BaseException as error:  # noqa: BLE001, whatever it is ends the node
            ended.put(error)

    thread = threading.Thread(target=run, daemon=True)
    signal.signal(signal.SIGTERM, _tell)
    try:
        thread.start()
        error = ended.get()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what follows is what it would ask for
    except Told:
        _stop(thread)
    if error is None:
        return 0
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    traceback.print_exception(error)
    why = reason(error, _node())
    say(why, free())
    return REFUSED if why.refused else 1


def _node() -> str:
    """Return the name of the notebook or script that this node runs."""
    given = sys.argv[sys.argv.index("--file") + 1] if "--file" in sys.argv[:-1] else "this node"
    return Path(given).stem


def _tell(_signal: int, _frame: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Told


def _stop(thread: threading.Thread) -> NoReturn:
    """End the node within the pod's grace period: first what could still deploy, then what is deployed."""
    say(STOPPED, may_stand("it is being removed"))
    children = psutil.Process().children(recursive=True)
    for child in children:
        with contextlib.suppress(psutil.Error):
            child.terminate()
    for child in psutil.wait_procs(children, POLITE)[1]:
        with contextlib.suppress(psutil.Error):
            child.kill()
    say(STOPPED, free())
    thread.join(UPLOAD)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(128 + signal.SIGTERM)  # the thread may still be at it
