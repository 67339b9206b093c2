"""What an evaluator measured: lm-eval, or one of the others."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, computed_field

from helpers.artifacts.base import Contract, Probability
from helpers.artifacts.measurement import Failures, Interval, Measurement, Metric

COVERAGE = 0.98  # share of the questions that must have been answered and scored


class AskedAgain(Contract):
    """Questions that were asked a second time: a server does not always answer alike, at temperature 0 either."""

    asked: int = Field(gt=0)
    flips: int = Field(ge=0, description="scored otherwise the second time")
    reworded: int = Field(ge=0, description="answered in other words")


class Evaluation(Measurement):
    """A score with its uncertainty; the samples log stays beside it.

    Each question is one of `n` (scored), `failed`, `empty` and `truncated`; only the first kind counts in the score.
    """

    written_by = "its measuring stage"

    kind: Literal["evaluation"] = "evaluation"
    tier: Literal["format", "accuracy", "tools", "safety", "application"] = "accuracy"
    evaluator: str = Field(default="lm_eval", description="which asked: a folder of helpers/evaluation")
    task: str = Field(description="lm-eval's task, or what else was asked, by its name")
    api: Literal["chat", "completions"] = "completions"
    metric: str = Field(description="as its evaluator names it, with lm-eval's filter where the task has several")
    score_kind: Literal["proportion", "mean"] = Field(
        default="proportion", description="of right answers, or of scores"
    )
    score: Probability
    interval: Interval
    chance: float | None = Field(default=None, ge=0, le=1, description="what guessing scores; None: not known")
    n: int = Field(gt=0, description="questions that were answered and scored")
    clusters: int = Field(default=0, ge=0, description="of questions that belong together; 0: taken as independent")
    design_effect: float = Field(
        default=1.0, ge=1, description="n divided by it: independent questions that say as much"
    )
    correct: int | None = Field(default=None, ge=0, description="right answers; None for a mean of scores")
    failed: int = Field(ge=0, description="questions whose request failed")
    empty: int = Field(default=0, ge=0, description="questions answered without text")
    truncated: int = Field(default=0, ge=0, description="questions whose answer was cut off")
    as_lm_eval: float | None = Field(
        default=None, description="the score if `empty` and `truncated` count as they are, as lm-eval does"
    )
    unparsed: int = Field(default=0, ge=0, description="of `n`: the filter found no answer in the text")
    again: AskedAgain | None = Field(default=None, description="None: no question was asked twice")
    total: int = Field(gt=0, description="questions that were asked")
    limit: int = Field(default=0, ge=0, description="first questions only; 0: all")
    num_fewshot: int = Field(default=0, ge=0)
    others: tuple[Metric, ...] = Field(
        default=(), description="further figures; those of single questions are scores in the log"
    )
    detail: dict[str, Any] = Field(default={}, description="counts by table and row, for example of errors by type")
    dataset_digest: str
    samples: str = Field(
        description="samples log (JSON lines), beside this file; empty where only the score was imported"
    )
    report: str = Field(default="", description="the tool's own report, beside this file; empty where it writes none")
    request_seconds: float = Field(ge=0)
    answers_identity: str = Field(default="", description="what is the same where a single answer is: the model served")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The score, then the further figures."""
        name = self.metric.split(",")[0]
        own = Metric(name=name, value=self.score, n=self.n, kind=self.score_kind, interval=self.interval)
        return (own, *self.others)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def failures(self) -> Failures:
        """What became of the questions."""
        counts = {status: getattr(self, status) for status in ("failed", "empty", "truncated", "unparsed")}
        return Failures(asked=self.total, answered=self.n, **counts)

    @property
    def subject(self) -> str:
        """The task."""
        return self.task

    @property
    def raw(self) -> dict[str, str]:
        """The tool's own report and the samples log."""
        named = {"results": self.report, "samples": self.samples}
        return {what: name for what, name in named.items() if name}

    @property
    def trial(self) -> bool:
        """Whether only the first questions were asked."""
        return self.limit > 0

    @property
    def partial(self) -> str:
        """Why this is no measurement of all the questions, "" where it is one."""
        return self.short_of(COVERAGE)

    def short_of(self, coverage: float) -> str:
        """Why this is no measurement of that share of the questions, "" where it is one; a trial never is."""
        if self.trial:
            return f"a trial of {self.total} questions"
        return f"{self.n} of {self.total} questions answered" if self.n < coverage * self.total else ""
