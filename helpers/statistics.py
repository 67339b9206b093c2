"""Intervals and tests for paired yes-or-no answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from helpers.artifacts import Contract, Interval

Verdict = Literal["better", "worse", "inconclusive"]


def wilson(correct: int, n: int, confidence: float = 0.95) -> Interval:
    """Return Wilson's score interval for a share (Wilson 1927, scipy's `proportion_ci`); n must be at least 1."""
    from scipy.stats import binomtest

    bounds = binomtest(correct, n).proportion_ci(confidence_level=confidence, method="wilson")
    return Interval(low=float(bounds.low), high=float(bounds.high), confidence=confidence, method="wilson")


class Paired(Contract):
    """Two models on the same questions; the first is compared with the second."""

    n: int
    both: int
    only_first: int
    only_second: int
    neither: int
    difference: float
    p_value: float
    p_adjusted: float = Field(description="for as many pairs as are tested together (Holm)")
    confidence: float
    verdict: Verdict
    questions_to_settle: int | None

    @property
    def flips(self) -> int:
        """Questions that exactly one of the two answers correctly."""
        return self.only_first + self.only_second


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided exact McNemar p-value: the discordant pairs against a fair coin."""
    from scipy.stats import binomtest

    flips = only_first + only_second
    return float(binomtest(only_first, flips, 0.5).pvalue) if flips else 1.0


def compare(first: list[bool], second: list[bool], confidence: float = 0.95) -> Paired:
    """Compare two models that answered the same questions, in the same order; `verdict` is about the first."""
    if len(first) != len(second) or not first:
        raise ValueError(f"paired answers differ in number: {len(first)} and {len(second)}")
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    both = sum(a and b for a, b in zip(first, second, strict=True))
    p_value = mcnemar(only_first, only_second)
    settled = p_value < 1 - confidence
    return Paired(
        n=len(first),
        both=both,
        only_first=only_first,
        only_second=only_second,
        neither=len(first) - both - only_first - only_second,
        difference=(only_first - only_second) / len(first),
        p_value=p_value,
        p_adjusted=p_value,
        confidence=confidence,
        verdict="inconclusive" if not settled else "better" if only_first > only_second else "worse",
        questions_to_settle=None if settled else questions_to_settle(only_first, only_second, len(first), confidence),
    )


def adjusted(pairs: Sequence[Paired]) -> list[Paired]:
    """Return the pairs with p-values for testing them together, and verdicts by these (Holm 1979)."""
    largest, result = 0.0, list(pairs)
    for rank, index in enumerate(sorted(range(len(pairs)), key=lambda index: pairs[index].p_value)):
        pair = pairs[index]
        largest = max(largest, min(1.0, pair.p_value * (len(pairs) - rank)))
        changed: dict[str, object] = {"p_adjusted": largest}
        if pair.verdict != "inconclusive" and largest >= 1 - pair.confidence:
            settle = questions_to_settle(pair.only_first, pair.only_second, pair.n, pair.confidence)
            changed |= {"verdict": "inconclusive", "questions_to_settle": settle}
        result[index] = pair.model_copy(update=changed)
    return result


def questions_to_settle(
    only_first: int, only_second: int, n: int, confidence: float = 0.95, power: float = 0.8
) -> int | None:
    """Return how many questions in all would show the difference seen here, if it is real; None where none is seen.

    Connor (1987), Biometrics 43:207-211, for paired proportions, with p = only_first / n and q = only_second / n:
    n = (z(1 - alpha/2) * sqrt(p + q) + z(power) * sqrt(p + q - (p - q)^2))^2 / (p - q)^2.
    """
    from scipy.stats import norm

    discordant, difference = (only_first + only_second) / n, (only_first - only_second) / n
    if not difference:
        return None
    error, reach = float(norm.ppf(0.5 + confidence / 2)), float(norm.ppf(power))
    needed = (error * math.sqrt(discordant) + reach * math.sqrt(discordant - difference**2)) ** 2 / difference**2
    return max(math.ceil(needed), n + 1)
