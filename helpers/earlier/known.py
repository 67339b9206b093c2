"""Find a result by its identity: in the working folder, then in the records that the registry knows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from helpers.artifacts import Evaluation, Record, Sweep
from helpers.benchmark import command
from helpers.earlier import files
from helpers.earlier.archive import Archive
from helpers.errors import AssayError
from helpers.evaluation.results import RESULTS, SAMPLES

Result = TypeVar("Result", Sweep, Evaluation)


@dataclass(frozen=True)
class Kind(Generic[Result]):
    """One of the two results: its artifact, what a record calls it, and the raw files that go with it."""

    artifact: type[Result]
    name: str
    files: tuple[str, ...]

    def of(self, record: Record) -> Result:
        """Return the record's part."""
        part: Result = getattr(record, self.name)
        return part

    def complete(self, found: Result) -> bool:
        """Return whether the result knows the digest of each of its raw files, and calls them as they always are."""
        named = {getattr(found, field, "") for field in ("report", "repeats_report", "samples")} - {""}
        return named <= found.files.keys() == set(self.files)


SWEEP = Kind(Sweep, "sweep", (command.SWEEP.report, command.SWEEP.page, command.REPEATS.report))
EVALUATION = Kind(Evaluation, "evaluation", (RESULTS, SAMPLES))


def here(kind: Kind[Result], identity: str, folder: Path) -> Result | None:
    """Return the folder's own result where it has this identity and its raw files are as they were written."""
    try:
        found = kind.artifact.read(folder)
    except AssayError:
        return None
    whole = kind.complete(found) and files.digests(folder, kind.files) == found.files
    return found if found.identity == identity and whole else None


def recorded(kind: Kind[Result], identity: str, archive: Archive, folder: Path) -> Record | None:
    """Return the newest record with this identity whose raw files could be had; they lie in `folder` then."""
    for record in archive.records(**{f"{kind.name}_identity": identity}):
        found = kind.of(record)
        if found.identity != identity or not kind.complete(found):
            continue
        try:
            files.fetch(found.files, record.raw, folder)
        except AssayError as error:
            archive.note(error)
        else:
            return record
    return None
