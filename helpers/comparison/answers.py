"""What each model answered, from lm-eval's per-question log."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from helpers.artifacts import Contract
from helpers.errors import InvalidInput
from helpers.evaluation.results import first_filter, read_samples

Key = tuple[str, int]


class Answer(Contract):
    """One question as one model answered it; `choices` is 0 where it wrote the answer freely."""

    task: str
    document: int
    digest: str
    question: str
    category: str
    text: str
    expected: str
    given: str
    choices: int
    correct: bool

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


def _answer(row: dict[str, Any], metric: str) -> Answer:
    document, choices = row["doc"], _choices(row)
    return Answer(
        task=row["task"],
        document=row["doc_id"],
        digest=row["doc_hash"],
        question=str(document.get("id", row["doc_id"])),
        category=str(document.get("category") or document.get("subject") or row["task"]),
        text=str(document.get("question") or document.get("query") or row["arguments"][0][0]),
        expected=_expected(row["target"], choices),
        given=_given(row["filtered_resps"], choices),
        choices=0 if isinstance(row["filtered_resps"][0], str) else len(row["arguments"]),
        correct=bool(row[metric]),
    )


def _choices(row: dict[str, Any]) -> list[str]:
    return [str(arguments[1]).strip() for arguments in row["arguments"] if isinstance(arguments[1], str)]


def _expected(target: Any, choices: list[str]) -> str:
    return choices[target] if isinstance(target, int) and target < len(choices) else str(target)


def _given(answers: list[Any], choices: list[str]) -> str:
    """Return the generated text, or the choice with the highest log-likelihood, which is what `acc` scores."""
    if isinstance(answers[0], str):
        return answers[0]
    likelihoods = [float(answer[0]) for answer in answers]
    return choices[likelihoods.index(max(likelihoods))]
