"""Find a result by its identity: in the working folder, then in the records that the registry knows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from helpers.artifacts import Evaluation, LoadTest, Record
from helpers.artifacts.measurement import rename
from helpers.errors import AssayError
from helpers.evaluation import evaluator as evaluators
from helpers.evaluation.lm_eval import results
from helpers.load_test import command
from helpers.records.reading import require_scored
from helpers.records.reuse import files
from helpers.records.reuse.archive import Archive

Result = TypeVar("Result", LoadTest, Evaluation)


@dataclass(frozen=True)
class Wanted(Generic[Result]):
    """A measurement that a stage is to make: its kind, its name, its identity, and what its raw files are called."""

    kind: type[Result]
    name: str
    identity: str
    raw: dict[str, str]

    def of(self, record: Record) -> Result | None:
        """Return the record's measurement of this identity, None where it has none or does not know its files."""
        alike = [each for each in record.measurements if isinstance(each, self.kind)]
        return next((each for each in alike if each.identity == self.identity and self.complete(each)), None)

    def complete(self, found: Result) -> bool:
        """Return whether the result knows the digest of each of its raw files."""
        return found.raw.keys() == self.raw.keys() and set(found.raw.values()) == found.files.keys()

    def named(self, found: Result) -> Result:
        """Return the result under this name, with its files' names."""
        names = {"report": self.raw.get("report") or self.raw.get("results") or ""}
        names |= {"repeats_report": self.raw["repeats"]} if "repeats" in self.raw else {}
        names |= {"samples": self.raw["samples"]} if "samples" in self.raw else {}
        return found.model_copy(update={**names, "name": self.name, "files": rename(found.files, found.raw, self.raw)})


def load_test(name: str, identity: str) -> Wanted[LoadTest]:
    """Return what is wanted of a load test."""
    loads, repeats = command.files(name), command.files(name, repeats=True)
    return Wanted(LoadTest, name, identity, {"report": loads.report, "page": loads.page, "repeats": repeats.report})


def evaluation(name: str, identity: str) -> Wanted[Evaluation]:
    """Return what is wanted of an evaluation."""
    own = results.files(name)
    return Wanted(Evaluation, name, identity, {"results": own.results, "samples": own.samples})


def asked(evaluator: str, name: str, identity: str) -> Wanted[Evaluation]:
    """Return what is wanted of an evaluation of one of the other evaluators."""
    return Wanted(Evaluation, name, identity, evaluators.raw(evaluator, name))


def here(wanted: Wanted[Result], folder: Path) -> Result | None:
    """Return the folder's own result where it has this identity and its raw files are as they were written."""
    try:
        found = wanted.kind.read_named(wanted.name, folder)
    except AssayError:
        return None
    whole = wanted.complete(found) and files.digests(folder, found.files) == found.files
    return found if found.identity == wanted.identity and whole else None


def _check(taken: LoadTest | Evaluation, folder: Path) -> None:
    if isinstance(taken, Evaluation):
        require_scored(taken, folder)


def recorded(wanted: Wanted[Result], archive: Archive, folder: Path) -> tuple[Record, Result] | None:
    """Return the newest record with this identity whose raw files could be had; they lie in `folder` then."""
    for record in archive.records(identity=wanted.identity):
        found = wanted.of(record)
        if found is None:
            continue
        taken = wanted.named(found)
        try:
            files.fetch(taken.files, rename(record.raw, found.raw, wanted.raw), folder, partial(_check, taken))
        except AssayError as error:
            archive.note(error)
        else:
            return record, taken
    return None
