"""One line of a samples log: what one question became, whichever evaluator asked it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from helpers.artifacts.base import Contract, Probability

Status = Literal["answered", "unparsed", "truncated", "empty", "failed"]
SCORED: tuple[Status, ...] = ("answered", "unparsed")  # what counts in a score


class Sample(Contract):
    """One question as one model answered it. Comparison, gate, plots and reuse read nothing else of an evaluation."""

    id: str = Field(description="unique in the log; the same question has the same id in another model's log")
    digest: str = Field(description="of the question and what belongs to it")
    label: str = Field(description="what the data calls the question")
    category: str
    cluster: str = Field(default="", description="what belongs together with it; empty where the task names none")
    input: str = Field(description="the question, without worked examples and template")
    prompt: str = Field(default="", description="what was sent, worked examples included")
    options: tuple[str, ...] = Field(default=(), description="to choose from; empty where the answer is written freely")
    expected: str
    output: str = Field(description="the answer as the evaluator's filter took it from the text, or the option chosen")
    scores: dict[str, Probability] = Field(
        default={}, description="by metric, the measurement's own first; empty where the answer does not count"
    )
    beside: bool = Field(default=False, description="scored by other metrics alone: no part of the measurement's own")
    status: Status
    why: str = Field(default="", description="why this is no answer")
    latency_seconds: float | None = Field(default=None, ge=0, description="from the request to the whole answer")
    replies: dict[str, Any] = Field(
        default={},
        description="what the server answered, by the digest of its request: a text with its facts, or "
        "the log-likelihood of an option",
    )
    reusable: bool = Field(default=True, description="False where the replies were sampled or asked for more than once")

    @property
    def score(self) -> float:
        """The measurement's own score; raises StopIteration where the answer does not count."""
        return next(iter(self.scores.values()))

    @property
    def correct(self) -> bool:
        """Whether the answer is right, or more right than wrong where there is something between."""
        return self.score >= 0.5
