"""What a decision consists of: decision.json."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from helpers.analysis.comparison import MOST
from helpers.artifacts import Artifact, Contract, Interval, Probability
from helpers.datasets.criteria import COST

State = Literal["met", "unsure", "missed"]


class Gate(Contract):
    """One must-have; `unsure` is met as measured, by so little that chance may have done it."""

    name: str = Field(description="load, guessing, or a line of the criteria")
    asked: str
    seen: str
    state: State
    narrow: bool = Field(default=False, description="where it is missed: by so little that chance may have done it")
    doubt: str = Field(default="", description="where it is unsure: why, in plain words")


class Doubt(Contract):
    """One reason why the first version may not be the best."""

    kind: Literal["partial", "must-have", "accuracy", "trade", "speed", "session", "kept out", "unverified"]
    about: str = Field(description="label of the version that it is about")
    text: str
    more_questions: int | None = Field(default=None, description="that would settle it")


class Option(Contract):
    """One version as a choice; None where something was not measured or has no price."""

    label: str
    accuracy: Probability
    interval: Interval
    n: int
    kind: Literal["proportion", "mean"]
    quality: Probability = Field(description="accuracy above chance, as a share of what is above chance")
    figures: dict[str, float | None] = Field(
        description="of one replica: latencies at the load that all carry, the others at its operating point"
    )
    keeps: float | None = Field(
        default=None,
        description="highest measured load (requests/s) that is within the SLO in any session, by interval",
    )
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

    @property
    def ttft_p95_ms(self) -> float | None:
        """Time to first token at the load that all carry."""
        return self.figures.get("ttft_p95_ms")

    @property
    def requests_per_second(self) -> float | None:
        """The load of one replica, at the operating point."""
        return self.figures.get("requests_per_second")

    def value(self, line: str) -> float | None:
        """Return the figure or the cost that a line of the criteria is about, None where it is not known."""
        return self.cost_per_thousand_requests if line == COST else self.figures.get(line.partition(".")[2])

    @property
    def missed(self) -> tuple[Gate, ...]:
        """The must-haves that are missed."""
        return tuple(gate for gate in self.gates if gate.state == "missed")

    @property
    def eligible(self) -> bool:
        """Whether no gate is missed."""
        return not self.missed


class Decision(Artifact):
    """The versions as choices, best first, those that miss a gate last."""

    filename = "decision.json"
    written_by = "compare_models"

    options: tuple[Option, ...]
    action: Literal["take", "measure", "weigh", "none"] = Field(description="what the sentence says to do")
    recommended: str | None
    sure: bool
    sentence: str
    doubts: tuple[Doubt, ...] = Field(description="why it is not sure, the one that the sentence tells first")
    weights: dict[str, float] = Field(description="by the criteria's lines")
    counting: dict[str, float] = Field(description="the weights, 0 for what is not known of every version")
    common_load: float | None = Field(description="requests/s that all that meet the must-haves carry within the SLO")
    target_rate: float
    headroom: float
    prices: str = Field(description="date and source of the price table")
    currency: str

    @property
    def headline(self) -> str:
        """The decision in a few words."""
        said = {
            "take": f"Take {self.recommended}",
            "measure": "Measure more before you decide",
            "weigh": "Say which task counts before you decide",
            "none": "Take none of them",
        }
        return said[self.action]

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
