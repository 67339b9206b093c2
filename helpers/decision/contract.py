"""What a decision consists of: decision.json."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from helpers.artifacts import Artifact, Contract, Interval, Probability
from helpers.comparison import MOST

State = Literal["met", "unsure", "missed"]


class Gate(Contract):
    """One must-have of one tier; `unsure` is met as measured, and by less than the uncertainty."""

    tier: Literal["system performance", "factual accuracy"]
    asked: str
    seen: str
    state: State
    narrow: bool = Field(default=False, description="where it is missed: by less than the uncertainty")


class Option(Contract):
    """One version as a choice; None where something was not measured or has no price."""

    label: str
    accuracy: Probability
    interval: Interval
    ttft_p95_ms: float | None
    requests_per_second: float | None = Field(description="of one replica, at the operating point")
    replicas: int | None = Field(description="for the target rate with head-room")
    cost_per_hour: float | None = Field(description="of all replicas, one where no target rate is given")
    cost_per_million_output_tokens: float | None
    cost_per_thousand_requests: float | None
    startup_seconds: float | None
    gates: tuple[Gate, ...]
    on_front: bool = False
    dominated_by: tuple[str, ...] = ()
    score: float | None = Field(default=None, description="0 to 1, None where a gate is missed")
    rank: int | None = None
    first_share: float | None = Field(default=None, description="share of all weightings in which it ranks first")

    @property
    def eligible(self) -> bool:
        """Whether no gate is missed."""
        return all(gate.state != "missed" for gate in self.gates)


class Decision(Artifact):
    """The versions as choices, best first, those that miss a gate last."""

    filename = "decision.json"
    written_by = "compare_models"

    options: tuple[Option, ...]
    recommended: str | None
    sure: bool
    sentence: str
    weights: tuple[float, float, float] = Field(description="quality, latency, cost")
    target_rate: float
    headroom: float
    prices: str = Field(description="date and source of the price table")
    currency: str

    @property
    def shown(self) -> tuple[str, ...]:
        """Whom figures and tables name, best first: everyone, of more than MOST versions those that matter most.

        These are the recommended and the most accurate one, then the Pareto front, then the rest by rank.
        """
        best = max(self.options, key=lambda option: option.accuracy).label
        front = [option.label for option in self.options if option.on_front]
        every = [option.label for option in self.options]
        first = [label for label in dict.fromkeys([self.recommended, best, *front, *every]) if label][:MOST]
        return tuple(label for label in every if label in first)
