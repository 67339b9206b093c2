"""A record's own answers, from the log beside its file or from the store."""

from __future__ import annotations

import tempfile
from pathlib import Path

from helpers.analysis.gate.judging import AllAnswers, Answers
from helpers.artifacts import Evaluation, Record
from helpers.errors import ArtifactMissing
from helpers.evaluation.samples import read_answers
from helpers.records.reading import raw_file


def read_record(path: Path) -> Record:
    """Return the record in a file; raises ArtifactMissing where it is none."""
    try:
        return Record.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactMissing(
            f"{path} is no record: {reason}", do="Give the record.json that log_results wrote"
        ) from error


def answers_of(record: Record, folder: Path | None = None) -> AllAnswers:
    """Return the record's answers to each evaluation, from the logs in `folder` where they lie there.

    Raises ArtifactMissing, NotFound or DigestMismatch.
    """
    return {each.name: _answers(record, each, folder) for each in record.evaluations}


def _answers(record: Record, evaluation: Evaluation, folder: Path | None) -> Answers:
    name, metric = evaluation.samples, evaluation.metric
    if folder and (folder / name).is_file():
        return read_answers(folder / name, metric)
    with tempfile.TemporaryDirectory(prefix="assay-gate-") as temporary:
        fetched = Path(temporary) / name
        fetched.write_bytes(raw_file(record, name))
        return read_answers(fetched, metric)
