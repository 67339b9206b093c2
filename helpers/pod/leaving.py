"""What a failed node does on its way out: free what its run deployed, and say what happened where it is looked for."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

from helpers.artifacts import FOLDER, run
from helpers.patience import brief
from helpers.pod.reasons import Reason

LOG = "ASSAY_TERMINATION_LOG"


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
