"""What compare_models writes: comparison.json."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from pydantic import Field

from helpers.analysis.comparison.common_load import (
    LATENCIES,
    AtLoad,
    Measured,
    Session,
    common_load,
    other_sessions,
    over_sessions,
    pooled,
)
from helpers.analysis.comparison.tiers import ORDER, Row
from helpers.artifacts import FOLDER, Artifact, Contract, Interval, Probability, write_atomic
from helpers.artifacts.accuracy import AskedAgain
from helpers.statistics import Estimate, Paired, half_width, lead

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
    again: AskedAgain | None = Field(default=None, description="questions that were asked a second time")
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
    other_sessions: tuple[Session, ...] = Field(
        default=(), description="the same model, server and data measured from other starts of the server"
    )
    missed_sessions: int = Field(default=0, description="sessions in which no load met the SLO")
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

    @property
    def sessions(self) -> tuple[Session, ...]:
        """What was measured from each start of the server, the version's own record first; empty without a load."""
        return (Session(curve=self.curve, repeats=self.repeats), *self.other_sessions) if self.curve else ()

    @property
    def curves(self) -> tuple[tuple[Measured, ...], ...]:
        """The latencies by load, of each session."""
        return tuple(each.curve for each in self.sessions)

    def at(self, load: float | None) -> dict[str, AtLoad]:
        """Return the latencies at a load (requests/s) by name, without those that are not known there."""
        found = {name: over_sessions(self.sessions, name, load or 0.0) for name in LATENCIES if load}
        return {name: each for name, each in found.items() if each}

    def values(self, metric: str) -> tuple[float, ...]:
        """Return a figure's values at the operating point over all sessions; see `pooled`."""
        return pooled([each.repeats.get(metric, ()) for each in self.sessions])

    def bounds(self, metric: str) -> Interval | None:
        """Return where a figure at the operating point lies in any session; None where noise is not known.

        A share has its own interval: what a session does to it is in its repeats only.
        """
        values, level = self.values(metric), self.interval.confidence
        found = Estimate.of([math.log(value) for value in values]) if min(values, default=0.0) > 0 else None
        if found is None or metric == "slo_attainment":
            return self.noise.get(metric)
        whole = lead([found, other_sessions(len(self.sessions))])
        low, high = (math.exp(whole.value + sign * half_width(whole, level)) for sign in (-1, 1))
        return Interval(low=low, high=high, confidence=level, method="student")

    def keeps(self, slo: dict[str, float], confidence: float) -> float | None:
        """Return the highest measured load (requests/s) at which latencies keep within the SLO (ms) in any session.

        By the upper end of each latency's interval; None where none is, or where a session met the SLO at no load.
        """
        top = common_load(self.curves)
        loads = [each.requests_per_second for each in self.curve if each.meets_slo and top]
        sure = [load for load in loads if load <= (top or 0.0) and self._within(load, slo, confidence)]
        return None if self.missed_sessions else max(sure, default=None)

    def _within(self, load: float, slo: dict[str, float], confidence: float) -> bool:
        there = self.at(load)
        for name, limit in slo.items():
            known = there.get(name.replace("_ms", "_p95_ms"))
            found = known.estimate(known.high) if known and known.high > 0 else []
            if not found:
                return False
            whole = lead(found)
            if whole.value + half_width(whole, confidence) > math.log(limit):
                return False
        return True


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


class Score(Contract):
    """One version's score on some of the questions."""

    label: str
    score: Probability
    n: int
    interval: Interval


class Apart(Contract):
    """The comparison without some questions: those that share words with what a model may have been trained on."""

    questions: tuple[str, ...] = Field(description="that are left out, as the data call them")
    scores: tuple[Score, ...] = Field(description="in the order of the standings")
    pairs: tuple[Pair, ...]


class Comparison(Artifact):
    """Versions side by side, with the uncertainty of every difference."""

    filename = "comparison.json"
    written_by = "compare_models"

    standings: tuple[Standing, ...]
    pairs: tuple[Pair, ...]
    flips: tuple[Flip, ...]
    other_flips: dict[str, tuple[Flip, ...]] = Field(
        default={}, description="of each evaluation beside the one by which versions are ranked"
    )
    without: Apart | None = Field(default=None, description="None where no question is known to be left out")
    verdict: str
    not_compared: tuple[str, ...] = ()
    reviews: dict[str, str] = Field(default={}, description="when each approval is to be looked at again, by label")
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
    def not_measured(self) -> tuple[str, ...]:
        """The tiers of the pyramid that no version was measured by, the base first."""
        measured = {row.tier for row in self.tiers for cell in row.cells if cell.value is not None}
        return tuple(tier for tier in ORDER if tier not in measured)

    @property
    def common_load(self) -> float | None:
        """The highest load (requests/s) that all versions carry within the SLO, of those that carry one."""
        return common_load(each for row in self.standings for each in row.curves)

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
