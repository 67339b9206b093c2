"""A record's own answers, from the log beside its file or from the store."""

from __future__ import annotations

import tempfile
from pathlib import Path

from helpers import storage
from helpers.artifacts import Record
from helpers.comparison.answers import read_answers
from helpers.errors import ArtifactMissing
from helpers.gate.judging import Answers


def read_record(path: Path) -> Record:
    """Return the record in a file; raises ArtifactMissing where it is none."""
    try:
        return Record.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactMissing(
            f"{path} is no record: {reason}", do="Give the record.json that log_results wrote"
        ) from error


def answers_of(record: Record, folder: Path | None = None) -> Answers:
    """Return the record's answers by question, from the log in `folder` where it lies there; raises ArtifactMissing."""
    name, metric = record.evaluation.samples, record.evaluation.metric
    if folder and (folder / name).is_file():
        return read_answers(folder / name, metric)
    if name not in record.raw:
        raise ArtifactMissing(
            f"Record {record.record_id} of {record.selection.label} does not say where its {name} is",
            do=f"Put {name} beside the record",
        )
    with tempfile.TemporaryDirectory(prefix="assay-gate-") as temporary:
        fetched = Path(temporary) / name
        fetched.write_bytes(storage.get(record.raw[name]))
        return read_answers(fetched, metric)
