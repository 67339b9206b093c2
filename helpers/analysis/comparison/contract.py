"""What compare_models writes: comparison.json."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from pydantic import Field

from helpers.analysis.comparison.common_load import LATENCIES, AtLoad, Measured, at_load, common_load
from helpers.analysis.comparison.tiers import Row
from helpers.artifacts import FOLDER, Artifact, Contract, Interval, Probability, write_atomic
from helpers.statistics import Paired

MOST = 12  # versions that figures and tables name and of which every two are told: 66 pairs


class Category(Contract):
    """One model's score on one category of questions."""

    name: str
    score: Probability
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
    evaluation: str = Field(default="", description="name of the one that accuracy and interval are of")
    load_test: str = Field(default="", description="name of the one that the speeds are of")
    accuracy: Probability
    interval: Interval
    kind: Literal["proportion", "mean"] = "proportion"
    n: int
    failed: int = Field(description="questions without an answer that can be scored")
    chance: Probability | None = Field(default=None, description="what guessing scores, where that is known")
    guessing: float | None = Field(default=None, description="one-sided p-value of being no better than guessing")
    guessing_together: float | None = Field(default=None, description="the same, for testing all versions (Holm)")
    partial: str = Field(default="", description="why this is no measurement of all questions: a trial, for example")
    unverified: bool = Field(default=False, description="an endpoint that existed: the model's files were not seen")
    requests_per_second: float | None
    output_tokens_per_second: float | None
    ttft_p95_ms: float | None
    itl_p95_ms: float | None
    e2e_p95_ms: float | None
    goodput: float | None = None
    slo_attainment: Probability | None = None
    curve: tuple[Measured, ...] = Field(default=(), description="latencies by load, up to the operating point")
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
    hardware_count: int | float
    startup_seconds: float | None
    categories: tuple[Category, ...] = ()
    verdict: str = ""

    def at(self, load: float | None) -> dict[str, AtLoad]:
        """Return the latencies at a load (requests/s) by name, without those that are not known there."""
        names = LATENCIES if load else ()
        found = {name: at_load(self.curve, name, load or 0.0, self.repeats.get(name, ())) for name in names}
        return {name: each for name, each in found.items() if each}


class Pair(Contract):
    """Two versions on the questions that both answered; the paired numbers are about the first."""

    first: str
    second: str
    paired: Paired
    categories: dict[str, Paired] = Field(
        default={}, description="by category of questions, of all these pairs together; see `sentence`"
    )
    sentence: str = Field(
        default="", description="empty beyond MOST versions, except for pairs with the most accurate one"
    )
    detail: str = Field(default="", description="the test behind the sentence, and that of the speed where it decides")


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
    tiers: tuple[Row, ...] = Field(default=(), description="every measurement, of all versions")

    def write(self, folder: Path = FOLDER) -> Path:
        """Write everything, also of 20,000 pairs; those without the white space that is for people."""
        indent = 2 if len(self.standings) <= MOST else None
        marked = self.model_copy(update={"run": self._run(folder)})
        return write_atomic(folder / self.filename, (marked.model_dump_json(indent=indent) + "\n").encode())

    @property
    def certainty(self) -> tuple[str, ...]:
        """One sentence for each pair with its test, and for each version that could not be compared.

        Of more than MOST versions not more than so many of either.
        """
        most = None if len(self.standings) <= MOST else MOST
        told = [pair.sentence for pair in self.pairs if pair.sentence][:most]
        told += [*self.not_compared[:most], "The others are in comparison.json."] if most else self.not_compared
        return tuple(told) or ("There is one model only.",)

    @property
    def common_load(self) -> float | None:
        """The highest load (requests/s) that all versions carry within the SLO, of those that carry one."""
        return common_load(row.curve for row in self.standings)

    @property
    def leading(self) -> tuple[str, ...]:
        """The most accurate versions, as many as are shown by name."""
        return tuple(row.label for row in self.standings[:MOST])

    def limit(self, metric: Literal["ttft_ms", "itl_ms", "e2e_ms"]) -> float | None:
        """Return the SLO's limit (ms), None where there is none or the versions were held to different ones."""
        limits = {json.loads(row.slo).get(metric) for row in self.standings}
        return limits.pop() if len(limits) == 1 else None

    def told(self, about: str | None, shown: Collection[str], most: int = MOST) -> tuple[Pair, ...]:
        """Return every pair; of more than `most` versions only those of one version with the others that are shown.

        Where there is no such version, the most accurate one stands in for it.
        """
        if len(self.standings) <= most:
            return self.pairs
        about = about or self.standings[0].label
        return tuple(
            pair for pair in self.pairs if about in (pair.first, pair.second) and {pair.first, pair.second} <= {*shown}
        )
