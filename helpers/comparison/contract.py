"""What compare_models writes: comparison.json."""

from __future__ import annotations

from pydantic import Field

from helpers.artifacts import Artifact, Contract, Interval, Probability
from helpers.statistics import Paired


class Category(Contract):
    """One model's score on one category of questions."""

    name: str
    score: Probability
    correct: int
    n: int
    interval: Interval


class Standing(Contract):
    """One model version's row; None where something was not measured."""

    label: str
    name: str
    version: str
    digest: str
    record_id: str
    purpose: str
    task: str
    dataset_digest: str
    accuracy: Probability
    interval: Interval
    n: int
    failed: int
    requests_per_second: float | None
    output_tokens_per_second: float | None
    ttft_p95_ms: float | None
    itl_p95_ms: float | None
    e2e_p95_ms: float | None
    goodput: float | None = None
    slo_attainment: Probability | None = None
    next_load: float | None = Field(default=None, description="lowest higher load that missed the SLO, requests/s")
    repeats: dict[str, tuple[float, ...]] = Field(
        default={}, description="figures at the operating point, each repeat's"
    )
    noise: dict[str, Interval] = Field(default={}, description="interval of their means")
    slo_repeats: tuple[int, int] | None = Field(default=None, description="repeats that met the SLO, and all of them")
    nearly_met: bool = Field(default=False, description="no load met the SLO, by so little that it may be noise")
    limited_by_load_generator: bool = False
    saturated: bool = Field(default=False, description="at the operating point, as under every load that met the SLO")
    operating_point: str
    slo: str
    workload: str
    hardware: str
    hardware_type: str
    hardware_count: int
    startup_seconds: float | None
    categories: tuple[Category, ...] = ()
    verdict: str = ""


class Pair(Contract):
    """Two versions on the questions that both answered; the paired numbers are about the first."""

    first: str
    second: str
    paired: Paired
    categories: dict[str, Paired] = Field(default={}, description="by category of questions, of all pairs together")
    sentence: str


class Flip(Contract):
    """A question on which the versions differ."""

    question: str
    category: str
    text: str
    expected: str
    answers: dict[str, str]
    correct: dict[str, bool]


class Comparison(Artifact):
    """Versions side by side, with the uncertainty of every difference."""

    filename = "comparison.json"
    written_by = "compare_models"

    standings: tuple[Standing, ...]
    pairs: tuple[Pair, ...]
    flips: tuple[Flip, ...]
    verdict: str
    not_compared: tuple[str, ...] = ()

    @property
    def certainty(self) -> tuple[str, ...]:
        """One sentence for each pair with its test, and for each version that could not be compared."""
        return (*(pair.sentence for pair in self.pairs), *self.not_compared) or ("There is one model only.",)
