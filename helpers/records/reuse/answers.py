"""Answers of earlier evaluations, so that only new questions are asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from helpers.artifacts import Evaluation
from helpers.errors import AssayError
from helpers.evaluation.samples import read_samples
from helpers.records.reuse import files
from helpers.records.reuse.archive import Archive

MOST_LOGS = 10  # the newest ones: each is read whole
KNOWN = "known.jsonl"


def collect(alike: str, name: str, subject: str, archive: Archive, folder: Path, scratch: Path) -> Path:
    """Write what earlier evaluations of `subject` with this `answers_identity` answered into a file in `scratch`.

    The working folder's own evaluation counts too. Of two answers to one question the newer one is taken.
    """
    known: dict[str, list[Any]] = {}
    for log, metric, origin in _logs(alike, name, subject, archive, folder, scratch):
        for name, answer in _answers(log, metric):
            known.setdefault(name, [name, answer, origin])
    path = scratch / KNOWN
    path.write_text("".join(f"{json.dumps(item)}\n" for item in known.values()), "utf-8")
    return path


Log = tuple[Path, str, str]  # the file, its metric, what its evaluation is called


def _logs(alike: str, name: str, subject: str, archive: Archive, folder: Path, scratch: Path) -> Iterator[Log]:
    """Yield each log once, the newest first."""
    seen: set[str] = set()
    asked = {"answers_identity": alike, "subject": subject}
    if (own := _own(alike, name, folder)) and not archive.withdrew(**asked):
        seen.add(own.files[own.samples])
        yield folder / own.samples, own.metric, f"the evaluation in {folder}"
    for record in archive.records(**asked):
        for found in record.evaluations:
            digest = found.files.get(found.samples, "")
            if (found.answers_identity, found.task) != (alike, subject) or digest in seen or len(seen) >= MOST_LOGS:
                continue
            try:
                files.fetch({found.samples: digest}, record.raw, scratch)
            except AssayError as error:
                archive.note(error)
                continue
            seen.add(digest)
            yield scratch / found.samples, found.metric, f"record {record.record_id} ({record.selection.label})"


def _own(alike: str, name: str, folder: Path) -> Evaluation | None:
    """Return the folder's own evaluation where it is such a one and its log as it was written."""
    try:
        found = Evaluation.read_named(name, folder)
    except AssayError:
        return None
    digest = files.digests(folder, [found.samples]).get(found.samples, "")
    return found if found.answers_identity == alike and digest and digest == found.files.get(found.samples) else None


def _answers(log: Path, metric: str) -> Iterator[tuple[str, Any]]:
    """Yield every request that was answered and would be answered the same again, as the journal names it."""
    for sample in read_samples(log, metric):
        if sample.reusable and sample.status != "empty":
            yield from sample.replies.items()
