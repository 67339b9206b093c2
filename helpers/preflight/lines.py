"""What a check says: a line, in one of three states."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


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
