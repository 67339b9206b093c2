"""One node from start to end: Elyra's bootstrapper in a thread, the pod's signals here.

A node's values from the eleventh on Elyra's command loses: to a shell "$10" is the second value and a 0.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NoReturn

import psutil

from helpers.artifacts import FOLDER, run
from helpers.errors import StageFailed
from helpers.pipelines.pod.reasons import REFUSED, Reason, reason
from helpers.runtime.patience import brief

STOPPED = Reason("Terminated: The pod was told to stop: its run was terminated, or its node is being emptied.")
POLITE, UPLOAD = 2.0, 10.0  # seconds of the thirty that Kubernetes gives
LOG = "ASSAY_TERMINATION_LOG"
LOST = re.compile(r'^(\w+)="\$([1-9]\d+)"$', re.MULTILINE)
PLACEHOLDER = "{{$."  # in the launcher's own copy of the command


class Told(BaseException):
    """The pod was told to stop."""


def main(operation: Callable[[], None]) -> int:
    """Run Elyra's bootstrapper and return the node's exit code; a failed node frees what its run deployed.

    In a thread the notebook's client leaves SIGTERM alone, which would otherwise end the kernel and nothing else.
    """
    ended: SimpleQueue[BaseException | None] = SimpleQueue()

    def run() -> None:
        try:
            os.environ.update(lost_values())
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


def free() -> str:
    """Remove what this run has deployed; return whether a server of it still stands."""
    mine = run.current(FOLDER)
    try:
        for line in import_module("helpers.serving").remove_run(mine):  # heavy: a node that ends well needs none of it
            print(line, flush=True)
    except Exception as error:  # noqa: BLE001, the error that made the node fail is the one that counts
        return may_stand(f"{type(error).__name__}: {brief(error)}")
    return "No server of this run stands."


def may_stand(why: str) -> str:
    """Return the sentence for a server that is perhaps not gone, and how to free it."""
    return (
        f"A server of this run may still stand ({why}); free it: "
        f"oc delete inferenceservice -l assay/run={run.label(run.current(FOLDER))}"
    )


def say(reason: Reason, server: str) -> None:
    """Write the last line to the container's termination log, which becomes the pod's and the Workflow's message."""
    line = reason.told(server)
    print(line, flush=True)
    try:
        Path(os.environ.get(LOG) or "/dev/termination-log").write_text(line)
    except OSError as error:
        print(f"The termination log was not written: {error}", flush=True)


def lost_values(commands: Iterable[Sequence[str]] | None = None) -> dict[str, str]:
    """Return the values that the shell did not hand on, by name; `commands` are the ancestors' command lines.

    They stand in the command line of the shell that started this process, or, where the shell made way for it, in the
    launcher's. Raises StageFailed where a value is lost and neither can be read.
    """
    names: dict[str, int] = {}
    for words in _ancestors() if commands is None else commands:
        for place, word in enumerate(words):
            if found := {name: int(number) for name, number in LOST.findall(word)}:
                names, given = found, words[place + 1 :]
                if len(given) > max(found.values()) and not any(PLACEHOLDER in value for value in given):
                    return {name: given[number] for name, number in found.items()}
        if names and "--executor_input" in words[:-1]:
            launched = json.loads(words[list(words).index("--executor_input") + 1])["inputs"]["parameterValues"]
            return {name: str(launched[name.lower()]) for name in names}
    if names:
        raise StageFailed(
            f"The pod's command loses the values of {', '.join(names)}",
            do="Submit the pipeline with make submit, which compiles them so that they arrive",
        )
    return {}


def _ancestors() -> list[list[str]]:
    """Return the command lines of the processes above this one, the nearest first."""
    found = []
    for process in psutil.Process().parents():
        with contextlib.suppress(psutil.Error):
            found.append(process.cmdline())
    return found
