"""Loads that were measured whole, kept one by one, so that a sweep that broke off is gone on with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from helpers.artifacts import write_atomic

ATTEMPTS = "attempts.json"
ATTEMPT_SEED_OFFSET = 6_000_101  # other prompts than the attempt's before, which the server's prefix cache may hold


class Kept(NamedTuple):
    """What one run of GuideLLM has measured so far, in a folder of its own: `0.json`, `1.json` …, or the whole report.

    A load comes here when it is known that the server was the deployed one to its end.
    """

    folder: Path

    def loads(self) -> list[Path]:
        """Return the loads that were kept, without a gap."""
        found: list[Path] = []
        while (path := self.folder / f"{len(found)}.json").is_file():
            found.append(path)
        return found

    def add(self, index: int, data: bytes) -> None:
        """Keep a load."""
        write_atomic(self.folder / f"{index}.json", data)

    def finish(self, files: Sequence[Path]) -> None:
        """Keep what GuideLLM wrote at its end, the report last, in place of the single loads."""
        for path in files:
            write_atomic(self.folder / path.name, path.read_bytes())
        for path in self.loads():
            path.unlink()

    def restore(self, files: Sequence[Path]) -> bool:
        """Bring back what `finish` kept; return whether it was there."""
        kept = [self.folder / path.name for path in files]
        if not kept[-1].is_file():
            return False
        for source, path in zip(kept, files, strict=True):
            shutil.copyfile(source, path)
        return True


class Attempt(NamedTuple):
    """The seed that was drawn for a sweep, and how often it was begun before."""

    seed: int
    number: int

    @property
    def offset(self) -> int:
        """What is added to the seed, so that no attempt sends the prompts of another."""
        return self.number * ATTEMPT_SEED_OFFSET


def begin(folder: Path, seed: int) -> Attempt:
    """Return which attempt this is, note it in `folder`, and forget what other sweeps kept beside it."""
    for other in folder.parent.glob("*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    try:
        before = json.loads((folder / ATTEMPTS).read_bytes())
        attempt = Attempt(int(before["seed"]), int(before["number"]) + 1)
    except (OSError, ValueError, KeyError, TypeError):
        attempt = Attempt(seed, 0)
    write_atomic(folder / ATTEMPTS, json.dumps(attempt._asdict()).encode())
    return attempt
