"""What measured versions answered to a use case's questions, out of the records that registry and store keep."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

from helpers.artifacts import Record, Sample
from helpers.datasets.stated import tasks
from helpers.errors import DigestMismatch, InvalidInput, NotFound, SignatureInvalid, StageFailed, Unreachable
from helpers.evaluation.samples import read_samples
from helpers.records import reading
from helpers.registry import AttachedRecord, connect

SECONDS = 10.0  # that a registry is asked again: its answers are welcome, and the data can be looked at without


class Answered(NamedTuple):
    """The samples of each version by evaluation, and why there are none where nothing could be read."""

    logs: dict[str, dict[str, list[Sample]]]
    unknown: str = ""


def answered(use_case: str, registry: str) -> Answered:
    """Return the samples of each version's newest record that was asked what the use case asks, baselines too.

    A registry or store that does not answer is told in `unknown`; a log that cannot be read is left out.
    """
    logs: dict[str, dict[str, list[Sample]]] = {}
    try:
        attached = connect(registry, timeout=SECONDS).records()
        for name, task in tasks(use_case).items():
            asked = [each for each in attached if each.has(kind="evaluation", subject=task)]
            newest = {(each.name, each.version): each for each in asked}
            logs[name] = {}
            for each in newest.values():
                for label, samples in _read(each, task):
                    logs[name][label] = samples
    except (Unreachable, StageFailed) as error:
        return Answered({}, error.what)
    return Answered(logs)


def _read(attached: AttachedRecord, task: str) -> list[tuple[str, list[Sample]]]:
    try:
        record: Record = reading.read_trusted(attached)
        with tempfile.TemporaryDirectory(prefix="assay-samples-") as folder:
            log = Path(folder, "samples.jsonl")
            evaluation = next(each for each in record.evaluations if each.task == task)
            log.write_bytes(reading.raw_file(record, evaluation.samples))
            return [(record.label, read_samples(log, evaluation.metric))]
    except (NotFound, InvalidInput, DigestMismatch, SignatureInvalid, StopIteration):
        return []
