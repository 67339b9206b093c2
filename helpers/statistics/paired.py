"""Two models on the same questions: which is better, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from pydantic import Field

from helpers.artifacts import Contract, Interval
from helpers.statistics.difference import CACHED, difference_interval
from helpers.statistics.power import detectable, questions_to_settle
from helpers.statistics.proportion import wilson

Verdict = Literal["better", "worse", "equivalent", "inconclusive"]
MIRRORED: dict[Verdict, Verdict] = {"better": "worse", "worse": "better"}


class Paired(Contract):
    """Two models on the same questions; the first is compared with the second."""

    n: int
    both: int
    only_first: int
    only_second: int
    neither: int
    difference: float
    interval: Interval = Field(description="of the difference")
    p_value: float
    p_adjusted: float = Field(description="for as many pairs as are tested together (Holm)")
    confidence: float
    margin: float = Field(description="differences below this do not matter; 0 where every one does")
    verdict: Verdict
    detectable: float | None = Field(description="smallest difference that these questions show four times in five")
    questions_to_settle: int | None

    @property
    def mirrored(self) -> Verdict:
        """The verdict about the second."""
        return MIRRORED.get(self.verdict, self.verdict)

    @property
    def flips(self) -> int:
        """Questions that exactly one of the two answers correctly."""
        return self.only_first + self.only_second


@lru_cache(maxsize=CACHED)
def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided exact McNemar p-value: the discordant pairs against a fair coin, both tails alike."""
    from scipy.stats import binom

    return min(1.0, 2 * float(binom.cdf(min(only_first, only_second), only_first + only_second, 0.5)))


def compare(first: list[bool], second: list[bool], confidence: float = 0.95, margin: float = 0.0) -> Paired:
    """Compare two models that answered the same questions, in the same order; `verdict` is about the first.

    `equivalent` is said where the whole interval of the difference at 2 * confidence - 1 lies within the margin, which
    is two one-sided tests (Schuirmann 1987), whatever McNemar's test says: a difference can be real and not matter.
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"paired answers differ in number: {len(first)} and {len(second)}")
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    both, n = sum(a and b for a, b in zip(first, second, strict=True)), len(first)
    pair = from_counts(both, only_first, only_second, n, confidence, margin)
    return _judged(pair, pair.p_value, tests=1)


def from_counts(
    both: int, only_first: int, only_second: int, n: int, confidence: float = 0.95, margin: float = 0.0
) -> Paired:
    """Return two models by how many of n questions both, only the first and only the second answered correctly.

    The verdict is open until the pair is judged, with the others that are tested together (see `adjusted`).
    """
    p_value = mcnemar(only_first, only_second)
    return Paired(
        n=n,
        both=both,
        only_first=only_first,
        only_second=only_second,
        neither=n - both - only_first - only_second,
        difference=(only_first - only_second) / n,
        interval=difference_interval(only_first, only_second, n, confidence),
        p_value=p_value,
        p_adjusted=p_value,
        confidence=confidence,
        margin=margin,
        verdict="inconclusive",
        detectable=None,
        questions_to_settle=None,
    )


def adjusted(pairs: Sequence[Paired]) -> list[Paired]:
    """Return the pairs with p-values for testing them together, and verdicts by these (Holm 1979)."""
    largest, result = 0.0, list(pairs)
    for rank, index in enumerate(sorted(range(len(pairs)), key=lambda index: pairs[index].p_value)):
        largest = max(largest, min(1.0, pairs[index].p_value * (len(pairs) - rank)))
        result[index] = _judged(pairs[index], largest, tests=len(pairs))
    return result


def _judged(pair: Paired, p_adjusted: float, tests: int) -> Paired:
    """Return the pair with its verdict, where `tests` pairs are judged together."""
    strict = 1 - (1 - pair.confidence) / tests
    verdict: Verdict = "inconclusive"
    if _within(pair, strict):
        verdict = "equivalent"
    elif p_adjusted < 1 - pair.confidence:
        verdict = "better" if pair.difference > 0 else "worse"
    # With hardly any flip seen their share is not known to be that low.
    share = pair.flips / pair.n if pair.flips else wilson(0, pair.n, pair.confidence).high
    settle = questions_to_settle(pair.only_first, pair.only_second, pair.n, pair.confidence)
    changed = {
        "p_adjusted": p_adjusted,
        "verdict": verdict,
        "detectable": detectable(pair.n, share, strict),
        "questions_to_settle": settle if verdict == "inconclusive" else None,
    }
    return pair.model_copy(update=changed)


def _within(pair: Paired, confidence: float) -> bool:
    if not pair.margin:
        return False
    bounds = difference_interval(pair.only_first, pair.only_second, pair.n, 2 * confidence - 1)
    return -pair.margin < bounds.low and bounds.high < pair.margin
