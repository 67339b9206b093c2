"""What the files of an evaluation are called, whichever tool asks."""

from __future__ import annotations

from typing import NamedTuple

from helpers.runtime import partial


class Files(NamedTuple):
    """The tool's own report, the samples log, the tool's log, and the answers so far, from the stage's folder."""

    results: str
    samples: str
    log: str
    journal: str


def named(name: str, tool: str, ending: str = "") -> Files:
    """Return what the files of the measurement `name` are called, which `tool` makes."""
    journal = f"{partial.FOLDER}/{name}.answers.jsonl"
    return Files(f"{name}.{tool}.{ending or 'json'}", f"{name}.samples.jsonl", f"{name}.{tool}.log", journal)
