"""What lm-eval measured."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from helpers.artifacts.base import Artifact, Contract, Parameter, Probability


class Interval(Contract):
    """A two-sided confidence interval."""

    low: float
    high: float
    confidence: float = Field(gt=0, lt=1)
    method: str


class Evaluation(Artifact):
    """lm-eval's score with its uncertainty; the per-question log stays beside it."""

    filename = "evaluation.json"
    written_by = "lm_eval_task"

    digest: str = Field(default="", description="of the model that was measured; empty in files of before")
    task: str
    metric: str
    score: Probability
    interval: Interval
    n: int = Field(gt=0, description="questions that were answered")
    correct: int = Field(ge=0)
    failed: int = Field(ge=0, description="questions without an answer; never counted as wrong")
    total: int = Field(gt=0)
    num_fewshot: int = Field(ge=0)
    dataset_digest: str
    samples: str = Field(description="per-question log (JSON lines), beside this file")
    report: str = Field(description="lm-eval's results JSON, beside this file")
    started: datetime
    ended: datetime
    request_seconds: float = Field(ge=0)
    versions: dict[str, str]
    settings: dict[str, Parameter]
    identity: str = Field(default="", description="of what was asked of what; empty: never taken over")
    answers_identity: str = Field(default="", description="what is the same where a single answer is: the model served")
    taken_from: str = Field(default="", description="id of the record that this was taken over from")
    files: dict[str, str] = Field(default={}, description="raw file beside this one -> its sha256")
