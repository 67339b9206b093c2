"""Write and read the samples log; lm-eval's own rows, which version 1 kept, become the same samples."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from helpers.artifacts import Sample, Status, write_atomic
from helpers.errors import ArtifactMissing, InvalidInput
from helpers.evaluation.journal import greedy, kept_of, name_of
from helpers.evaluation.reply import Reply
from helpers.evaluation.scoring import FALLBACK, Measure

Row = Mapping[str, Any]  # of lm-eval's own log
SCORED: tuple[Status, ...] = ("answered", "unparsed")


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


def of_row(
    rows: Sequence[Row], measures: Sequence[Measure], status: Status = "answered", why: str = "", cluster: str = ""
) -> Sample:
    """Return the sample of one question from lm-eval's rows, one for each filter; the first measure is its score."""
    row = next(row for row in rows if row["filter"] == measures[0].filter)
    document, options, replies = row["doc"], _options(row), _replies(row)
    seconds = [each.seconds for answers in row["resps"] for each in answers if isinstance(each, Reply)]
    return Sample(
        id=f"{row['task']}/{row['doc_id']}",
        digest=row["doc_hash"],
        label=str(document.get("id", row["doc_id"])),
        # The category that the question names, else its task, which in a group is one of many.
        category=str(document.get("category") or document.get("subject") or row["task"]),
        cluster=cluster,
        input=str(document.get("question") or document.get("query") or row["arguments"][0][0]),
        prompt=str(row["arguments"][0][0]),
        options=tuple(options),
        expected=_expected(row["target"], options),
        output=_output(row, options) if status != "failed" else "",
        scores=_scores(rows, measures) if status in SCORED else {},
        status=status,
        why=why,
        latency_seconds=math.fsum(seconds) / len(seconds) if seconds else None,
        replies=replies,
        reusable=all(len(answers) == 1 for answers in row["resps"]) and all(map(greedy, row["arguments"])),
    )


def _first(sample: Sample, metric: str) -> Sample:
    """Return the sample with this metric's score before its others; raises KeyError where it should have one."""
    if sample.status not in SCORED or next(iter(sample.scores), "") == metric:
        return sample
    return sample.model_copy(update={"scores": {metric: sample.scores[metric], **sample.scores}})


def _scores(rows: Sequence[Row], measures: Sequence[Measure]) -> dict[str, float]:
    """Return the score by each measure that gives this question one from 0 to 1."""
    of_filter = {row["filter"]: row for row in rows}
    found = {each.name: of_filter.get(each.filter, {}).get(each.metric) for each in measures}
    numbers = {name: float(value) for name, value in found.items() if isinstance(value, int | float)}
    return {name: value for name, value in numbers.items() if 0 <= value <= 1}


def _options(row: Row) -> list[str]:
    return [str(arguments[1]).strip() for arguments in row["arguments"] if isinstance(arguments[1], str)]


def _expected(target: Any, options: Sequence[str]) -> str:
    return options[target] if isinstance(target, int) and target < len(options) else str(target)


def _output(row: Row, options: Sequence[str]) -> str:
    """Return the generated text, or the option with the highest log-likelihood, which is what `acc` scores.

    Of a text the task's filter kept its answer; where it found none, the whole text says more.
    """
    answers = row["filtered_resps"]
    if isinstance(answers[0], str):
        return str(answers[0]) if answers[0] != FALLBACK else str(row.get("resps", [answers])[0][0]).strip()
    likelihoods = [float(answer[0]) for answer in answers]
    return options[likelihoods.index(max(likelihoods))] if options else str(answers[0])


def _replies(row: Row) -> dict[str, Any]:
    """Return what was answered by the digest of its request, as the journal names it; a repeat has its number."""
    found, seen = dict[str, Any](), Counter[str]()
    for arguments, answers in zip(row["arguments"], row.get("resps", ()), strict=False):
        for turn, answer in enumerate(answers):
            kept: Any
            if isinstance(answer, Reply):
                method, kept = "generate_until", kept_of(str(answer), answer.facts)
            elif isinstance(answer, tuple | list) and len(answer) == 2 and math.isfinite(answer[0]):
                method, kept = "loglikelihood", list(answer)
            else:
                continue
            name = name_of(method, arguments, turn)
            found[f"{name}.{seen[name]}" if seen[name] else name] = kept
            seen[name] += 1
    return found
