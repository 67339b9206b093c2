"""Write and read the samples log; lm-eval's own rows, which version 1 kept, become the same samples."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from pydantic_core import from_json

from helpers.artifacts import Sample, write_atomic
from helpers.artifacts.sample import SCORED
from helpers.errors import ArtifactMissing, InvalidInput
from helpers.evaluation.lm_eval.rows import of_row
from helpers.evaluation.lm_eval.scoring import Measure


def write_samples(samples: Iterable[Sample], path: Path) -> None:
    """Write the log, one line for each question, whole or not at all."""
    lines = (f"{sample.model_dump_json(exclude_defaults=True)}\n" for sample in samples)
    write_atomic(path, "".join(lines).encode())


def read_samples(path: Path, metric: str) -> list[Sample]:
    """Return the samples, each with the score of `metric` before its others.

    Raises ArtifactMissing, or InvalidInput where the file is no samples log, has a question twice, or no such score.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError as error:
        raise ArtifactMissing(f"{path} is not there", do="Run the stage that measures first") from error
    found: dict[str, Sample] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = from_json(line)
            of_version_1 = "doc_id" in row
            sample = of_row([row], [Measure(metric, row["filter"], metric)]) if of_version_1 else Sample(**row)
            sample = _first(sample, metric)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            what = f"{path}, line {number}, is no sample with a score by {metric}"
            raise InvalidInput(f"{what}: {str(error).splitlines()[0]}", do="Measure this version again") from error
        if sample.id in found and not of_version_1:  # which logged a question once for each filter
            raise InvalidInput(f"{path}, line {number}: question {sample.id} is there twice", do="Measure again")
        found.setdefault(sample.id, sample)
    return list(found.values())


def read_answers(samples: Path | Iterable[Sample], metric: str) -> dict[str, Sample]:
    """Return what counts in the score of `metric`, by the question's id. Raises as `read_samples`."""
    found = read_samples(samples, metric) if isinstance(samples, Path) else (_first(each, metric) for each in samples)
    return {sample.id: sample for sample in found if sample.scores}


def clusters(samples: Iterable[Sample]) -> list[str]:
    """Return each question's cluster, nothing where one has none: independence is assumed then."""
    found = [sample.cluster for sample in samples]
    return found if all(found) else []


def chance(samples: Iterable[Sample]) -> float | None:
    """Return what guessing scores on average where each question has options, None where one is answered freely."""
    counts = [len(sample.options) for sample in samples]
    return math.fsum(1 / count for count in counts) / len(counts) if counts and all(counts) else None


def _first(sample: Sample, metric: str) -> Sample:
    """Return the sample with this metric's score before its others.

    One that stands beside the measurement has no score here. Raises KeyError where it should have one.
    """
    if sample.status not in SCORED or next(iter(sample.scores), "") == metric:
        return sample
    if sample.beside and metric not in sample.scores:
        return sample.model_copy(update={"scores": {}})
    return sample.model_copy(update={"scores": {metric: sample.scores[metric], **sample.scores}})
