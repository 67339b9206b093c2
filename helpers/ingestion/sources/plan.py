"""What is known of a source before the download, and which files lie in the quarantine afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from helpers.ingestion.findings import Finding

Sums = dict[str, str]


@dataclass(frozen=True)
class Fetched:
    """A model in a folder, its SHA-256 by relative path, its origin as the registry wants it, and facts for the record.

    `findings` are what was refused on the way; unless `complete`, the folder does not hold what the source offers.
    """

    folder: Path
    sums: Mapping[str, str]
    origin: Mapping[str, str]
    facts: Mapping[str, str]
    findings: tuple[Finding, ...] = ()
    complete: bool = True


def _nothing(work: Path, model: Path) -> Sums:
    model.mkdir(exist_ok=True)
    return {}


@dataclass(frozen=True)
class Plan:
    """A source as its own server describes it; `identity` changes whenever its content does.

    `receive(work, model)` brings the files into `model` and returns their SHA-256, by way of `work`; it goes on where
    an earlier run was killed. `place` is a folder that is looked at where it is, because it may not be copied.
    """

    identity: str
    origin: Mapping[str, str]
    facts: Mapping[str, str]
    findings: tuple[Finding, ...] = ()
    receive: Callable[[Path, Path], Sums] = _nothing
    place: Path | None = None
