"""What each model answered, from lm-eval's per-question log."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import Field

from helpers.artifacts import Contract, Probability
from helpers.errors import InvalidInput
from helpers.evaluation.results import category_of, first_filter, read_samples
from helpers.evaluation.scoring import FALLBACK

Key = tuple[str, int]


class Answer(Contract):
    """One question as one model answered it; `choices` is 0 where it wrote the answer freely."""

    task: str
    document: int
    digest: str
    question: str
    category: str
    cluster: str = Field(default="", description="what belongs together with it; empty where the task names none")
    text: str
    expected: str
    given: str
    choices: int
    score: Probability

    @property
    def correct(self) -> bool:
        """Whether it is right, or more right than wrong where there is something between."""
        return self.score >= 0.5

    @property
    def key(self) -> Key:
        """What the same question is called in another model's log."""
        return self.task, self.document


def read_answers(samples: Path | Iterable[dict[str, Any]], metric: str) -> dict[Key, Answer]:
    """Return the answers by question; raises ArtifactMissing, or InvalidInput where the log is not lm-eval's."""
    rows = read_samples(samples) if isinstance(samples, Path) else list(samples)
    try:
        answers = [_answer(row, metric) for row in first_filter(rows)]
    except (KeyError, TypeError, IndexError, ValueError) as error:
        log = samples if isinstance(samples, Path) else "The per-question log"
        raise InvalidInput(
            f"{log} is not lm-eval's log of a task with {metric}: {error!r}",
            do="Run lm_eval_task again for this version",
        ) from error
    return {answer.key: answer for answer in answers}


def clusters(answers: Iterable[Answer]) -> list[str]:
    """Return each answer's cluster, nothing where one has none: independence is assumed then."""
    found = [answer.cluster for answer in answers]
    return found if all(found) else []


def chance(answers: Iterable[Answer]) -> float | None:
    """Return what guessing scores on average where each question has choices, None where one is answered freely."""
    counts = [answer.choices for answer in answers]
    return sum(1 / count for count in counts) / len(counts) if counts and all(counts) else None


def _answer(row: dict[str, Any], metric: str) -> Answer:
    document, choices = row["doc"], _choices(row)
    return Answer(
        task=row["task"],
        document=row["doc_id"],
        digest=row["doc_hash"],
        question=str(document.get("id", row["doc_id"])),
        category=category_of(row),
        cluster=row.get("cluster", ""),
        text=str(document.get("question") or document.get("query") or row["arguments"][0][0]),
        expected=_expected(row["target"], choices),
        given=_given(row, choices),
        choices=0 if isinstance(row["filtered_resps"][0], str) else len(row["arguments"]),
        score=row["score"] if "score" in row else float(row[metric]),  # logs of version 1 have no score
    )


def _choices(row: dict[str, Any]) -> list[str]:
    return [str(arguments[1]).strip() for arguments in row["arguments"] if isinstance(arguments[1], str)]


def _expected(target: Any, choices: list[str]) -> str:
    return choices[target] if isinstance(target, int) and target < len(choices) else str(target)


def _given(row: dict[str, Any], choices: list[str]) -> str:
    """Return the generated text, or the choice with the highest log-likelihood, which is what `acc` scores.

    Of a text the task's filter kept its answer; where it found none, the whole text says more.
    """
    answers = row["filtered_resps"]
    if isinstance(answers[0], str):
        return answers[0] if answers[0] != FALLBACK else str(row.get("resps", [answers])[0][0]).strip()
    likelihoods = [float(answer[0]) for answer in answers]
    return choices[likelihoods.index(max(likelihoods))]
