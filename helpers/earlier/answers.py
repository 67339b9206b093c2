"""Answers of earlier evaluations, so that only new questions are asked."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from helpers.artifacts import Evaluation
from helpers.earlier import files
from helpers.earlier.archive import Archive
from helpers.errors import AssayError
from helpers.evaluation.journal import greedy, name_of
from helpers.evaluation.results import SAMPLES, read_samples

MOST_LOGS = 10  # the newest ones: each is read whole
KNOWN = "known.jsonl"


def collect(alike: str, task: str, archive: Archive, folder: Path, scratch: Path) -> Path:
    """Write what earlier evaluations with this `answers_identity` answered into a file in `scratch`.

    The working folder's own evaluation counts too. Of two answers to one question the newer one is taken.
    """
    known: dict[str, list[Any]] = {}
    for log, origin in _logs(alike, task, archive, folder, scratch):
        for name, answer in _answers(log):
            known.setdefault(name, [name, answer, origin])
    path = scratch / KNOWN
    path.write_text("".join(f"{json.dumps(item)}\n" for item in known.values()), "utf-8")
    return path


def _logs(alike: str, task: str, archive: Archive, folder: Path, scratch: Path) -> Iterator[tuple[Path, str]]:
    """Yield each log once, the newest first, with what its evaluation is called."""
    seen: set[str] = set()
    if own := _own(alike, folder):
        seen.add(own)
        yield folder / SAMPLES, f"the evaluation in {folder}"
    for record in archive.records(answers_identity=alike, task=task):
        digest = record.evaluation.files.get(SAMPLES, "")
        if record.evaluation.answers_identity != alike or digest in seen or len(seen) >= MOST_LOGS:
            continue
        try:
            files.fetch({SAMPLES: digest}, record.raw, scratch)
        except AssayError as error:
            archive.note(error)
            continue
        seen.add(digest)
        yield scratch / SAMPLES, f"record {record.record_id} ({record.selection.label})"


def _own(alike: str, folder: Path) -> str:
    """Return the digest of the folder's own log where it is of such an evaluation and as it was written, else ""."""
    try:
        found = Evaluation.read(folder)
    except AssayError:
        return ""
    digest = files.digests(folder, [SAMPLES]).get(SAMPLES, "")
    return digest if found.answers_identity == alike and digest == found.files.get(SAMPLES) else ""


def _answers(log: Path) -> Iterator[tuple[str, Any]]:
    """Yield the name of every question that was asked once and answered, as the journal names it, and the answer."""
    for sample in read_samples(log):
        for arguments, answers in zip(sample["arguments"], sample["resps"], strict=False):
            if len(arguments) == 2 and len(answers) == 1 and greedy(arguments) and _given(answers[0]):
                scored = isinstance(arguments[1], str)
                yield name_of("loglikelihood" if scored else "generate_until", arguments), answers[0]


def _given(answer: Any) -> bool:
    return isinstance(answer, str) or (isinstance(answer, list) and len(answer) == 2 and not math.isnan(answer[0]))
