"""What was seen of a version while it served: its figures beside SLO and baseline, what fired, the canary questions."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field, computed_field

from helpers.artifacts.base import Contract, Probability
from helpers.artifacts.measurement import Failures, Measurement, Metric

WATCH = "watch"


class Seen(Contract):
    """One figure over the window, as Prometheus recorded it."""

    name: str
    title: str
    unit: str
    limit: float | None = Field(default=None, description="the SLO, or an alert's")
    baseline: float | None = Field(default=None, description="what the record's load test measured")
    points: tuple[tuple[float, float], ...] = Field(description="seconds since the epoch, value; none without requests")

    @property
    def last(self) -> float | None:
        """The newest value, None without one."""
        return self.points[-1][1] if self.points else None


class Fired(Contract):
    """An alert that held for as long as its rule wants, at some time in the window."""

    alert: str
    action: str
    severity: str
    summary: str
    since: datetime
    until: datetime | None = Field(default=None, description="None while it fires")
    value: float


class Canary(Contract):
    """The record's own questions, asked again: outside of its limits is a reason to look, and no verdict."""

    evaluation: str
    asked: int = Field(gt=0)
    answered: int = Field(ge=0)
    score: Probability
    expected: Probability = Field(description="the record's score on these very questions")
    low: float = Field(description="of the control limits")
    high: float
    lost: int = Field(ge=0, description="questions that the record has right and this look has not")
    gained: int = Field(ge=0)

    @property
    def outside(self) -> bool:
        """Whether the score lies outside of the control limits."""
        return not self.low <= self.score <= self.high


class Observation(Measurement):
    """What `watch_endpoint` saw from `started` to `ended`."""

    filename = f"{WATCH}.json"
    written_by = "watch_endpoint"

    name: str = WATCH
    kind: Literal["observation"] = "observation"
    tier: Literal["performance"] = "performance"
    label: str = Field(description="name and version of the model")
    record_id: str = Field(description="whose SLO and baseline are the lines")
    prometheus: str = Field(description="which was asked")
    signals: tuple[Seen, ...]
    fired: tuple[Fired, ...] = ()
    canary: Canary | None = Field(default=None, description="None: no question was asked")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The newest value of each figure that was seen."""
        return tuple(
            Metric(
                name=each.name.replace(":", "_"), value=each.last, unit=each.unit, n=len(each.points),
                kind="percentile" if each.name.endswith("p95") else "mean" if each.name.endswith("mean") else "rate",
            )
            for each in self.signals
            if each.last is not None
        )  # fmt: skip

    @computed_field  # type: ignore[prop-decorator]
    @property
    def failures(self) -> Failures:
        """What became of the canary questions."""
        found = self.canary
        return Failures(asked=found.asked, answered=found.answered) if found else Failures(asked=0, answered=0)

    @property
    def subject(self) -> str:
        """The version that was watched."""
        return self.label

    @property
    def raw(self) -> dict[str, str]:
        """No raw files: Prometheus has them."""
        return {}
