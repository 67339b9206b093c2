"""The project that is checked, and what a check says of it: a line, in one of three states."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, NamedTuple

from helpers.errors import ClusterUnreachable

if TYPE_CHECKING:
    from helpers.cluster import Cluster

RUNNER = "pipeline-runner-dspa"
Role = Literal["model-ops", "ai-engineers"]
SET_UP = "runtime-images/openshift/project/README.md says how"
DO_ASK = "Run this as an administrator of the project, who may ask for another account"


@dataclass
class Project:
    """What the user named; the first check adds the cluster and who asks it."""

    namespace: str = ""
    registry: str = "auto"
    store: str = "auto"
    runtime: str = "odh_dsp"
    role: Role = "model-ops"
    seconds: float = 15  # how long something that does not answer is asked again
    connected: Cluster | None = None
    account: str = ""

    @property
    def cluster(self) -> Cluster:
        """The cluster; raises ClusterUnreachable where the first check found none."""
        if self.connected is None:
            raise ClusterUnreachable("Not looked at, because the cluster's API was not reached", do="See above")
        return self.connected

    @property
    def runs_pipelines(self) -> bool:
        """Whether the checks run as the account of the pipelines themselves."""
        return self.account.endswith(f":{RUNNER}")


class State(StrEnum):
    """How a thing is.

    `fix`: the pipelines will fail until it is done. `note`: it cannot be seen from here, or not everybody needs it.
    """

    OK = "ok"
    NOTE = "note"
    FIX = "fix"


class Line(NamedTuple):
    """How a thing is, what to do where it is not well, and by which check that was found."""

    state: State
    text: str
    do: str = ""
    check: str = ""

    def __str__(self) -> str:
        do = f". {self.do}" if self.do else ""
        return f"{self.state:<4}  {self.check:<15}  {self.text}{do}."


def ok(text: str) -> Line:
    """Return the line for what is well."""
    return Line(State.OK, text)


def note(text: str, do: str) -> Line:
    """Return the line for what may be well."""
    return Line(State.NOTE, text, do)


def fix(text: str, do: str) -> Line:
    """Return the line for what has to be done."""
    return Line(State.FIX, text, do)
