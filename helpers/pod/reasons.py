"""Why a node failed, in the one line that its pod leaves behind."""

from __future__ import annotations

from typing import NamedTuple

from helpers import errors, memory
from helpers.errors import AssayError, StageFailed
from helpers.partial import again, anew
from helpers.patience import causes

REFUSED = 3  # exit code of a node that would decide the same if it were tried again
DECISIONS = (
    errors.InvalidInput, errors.GateFailed, errors.GateInconclusive, errors.IncompleteCoverage, errors.DigestMismatch,
    errors.SignatureInvalid,
)  # fmt: skip
LONGEST = 1000  # characters; Kubernetes keeps 4,096 bytes


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
    # Stages run by hand too; here nobody can run one alone.
    said = " ".join(text.split()).replace("run this stage again", again())
    said = said.replace("Run this stage again", again().capitalize())
    return Reason(f"{name}: {said}", refused)


def _killed(node: str) -> AssayError:
    return StageFailed(f"The kernel of {node} {memory.killed()}", do=f"{memory.more()}, then {anew()}")
