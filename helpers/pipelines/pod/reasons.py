"""Why a node failed, in the one line that its pod leaves behind; what it refused is not worked through again.

Data Science Pipelines retries every exit code. So the first refusal leaves a file in the run's folder, and the attempts
that follow end the same without starting the notebook. It counts for ten minutes and for as many retries as were
compiled in: a person's later retry runs the node. Elyra's own compile, the canvas's Run, has none, so nothing is kept.
"""

from __future__ import annotations

import io
import json
import os
import time
from contextlib import suppress
from typing import NamedTuple

from helpers import errors
from helpers.errors import ArtifactMissing, AssayError, StageFailed, StoreFailed
from helpers.pipelines.pod.store import Store
from helpers.runtime import memory
from helpers.runtime.partial import again, anew
from helpers.runtime.patience import causes

REFUSED = 3  # exit code of a node that would decide the same if it were tried again
DECISIONS = (
    errors.InvalidInput, errors.GateFailed, errors.GateInconclusive, errors.IncompleteCoverage, errors.DigestMismatch,
    errors.SignatureInvalid,
)  # fmt: skip
LONGEST = 1000  # characters; Kubernetes keeps 4,096 bytes
SECONDS = 600.0
RETRIES = "ASSAY_RETRIES"  # set where retries are compiled in, see helpers/pipelines/finishing.py


class Reason(NamedTuple):
    """The error's class and sentences on one line, and whether it is the stage's own decision."""

    line: str
    refused: bool = False

    def told(self, server: str) -> str:
        """Return the line with what became of the run's server, at most 1,000 characters."""
        left = LONGEST - len(server) - 1
        line = self.line if len(self.line) <= left else f"{self.line[: left - 1]}…"
        return f"{line} {server}"


class RefusedBefore(Exception):
    """An earlier attempt of this node refused already."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.line)
        self.reason = reason


def reason(error: BaseException, node: str) -> Reason:
    """Return why a node failed: what its notebook raised, before anything that went wrong on the way out."""
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    chain = list(causes(error))
    for one in chain:
        if isinstance(one, RefusedBefore):
            return one.reason
        if isinstance(one, PapermillExecutionError):
            return _of(one.ename, one.evalue, getattr(errors, one.ename, None))
        if isinstance(one, DeadKernelError) or "Kernel died" in str(one):
            killed = _killed(node)
            return _of(type(killed).__name__, str(killed))
    # On the way out Elyra looks for an output that what failed never wrote.
    first = next((one for one in chain if not isinstance(one, FileNotFoundError)), error)
    told = next((one for one in chain if isinstance(one, AssayError)), first)
    return _of(type(told).__name__, str(told), type(told))


def _of(name: str, text: str, kind: object = None) -> Reason:
    refused = isinstance(kind, type) and issubclass(kind, DECISIONS)
    # Stages run by hand too; in a pipeline none runs alone.
    said = " ".join(text.split()).replace("run this stage again", again())
    said = said.replace("Run this stage again", again().capitalize())
    return Reason(f"{name}: {said}", refused)


def _killed(node: str) -> AssayError:
    return StageFailed(f"The kernel of {node} {memory.killed()}", do=f"{memory.more()}, then {anew()}")


class Refusals:
    """The file at `key` in the bucket: what was refused, when, and how many attempts it has ended since."""

    def __init__(self, store: Store, key: str) -> None:
        self.store, self.key = store, key
        self.retries = int(os.environ.get(RETRIES) or 0)

    def remember(self, reason: Reason) -> None:
        """Write down a refusal that this attempt came to, for the retries that follow."""
        if self.retries:
            self._write(reason.line, time.time(), 0)

    def repeat(self) -> None:
        """End this attempt where one just before it refused. Raises RefusedBefore."""
        if not self.retries:
            return
        with suppress(ArtifactMissing, StoreFailed, ValueError, KeyError, TypeError):
            found = json.loads(self._read())
            if time.time() - found["at"] < SECONDS and found["repeated"] < self.retries:
                self._write(found["line"], found["at"], found["repeated"] + 1)
                print("An attempt just before this one refused: this one does not start the notebook")
                raise RefusedBefore(Reason(found["line"], refused=True))

    def _read(self) -> bytes:
        def read() -> bytes:
            answer = self.store.client.get_object(self.store.bucket, self.key)
            try:
                return bytes(answer.read())
            finally:
                answer.close()
                answer.release_conn()

        return self.store.ask(read, self.key)

    def _write(self, line: str, at: float, repeated: int) -> None:
        data = json.dumps({"line": line, "at": at, "repeated": repeated}).encode()
        put = self.store.client.put_object
        self.store.ask(lambda: put(self.store.bucket, self.key, io.BytesIO(data), len(data)), self.key)
