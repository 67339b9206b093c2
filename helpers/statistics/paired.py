"""Two models on the same questions: which is better, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

from pydantic import Field

from helpers.artifacts import Contract, Interval
from helpers.statistics.clusters import design_effect
from helpers.statistics.difference import CACHED, difference_interval
from helpers.statistics.looks import ONE_LOOK, Looks
from helpers.statistics.power import detectable, of_means, questions_to_settle
from helpers.statistics.proportion import wilson
from helpers.statistics.resampled import Resampled, resampled

Verdict = Literal["better", "worse", "equivalent", "inconclusive"]
MIRRORED: dict[Verdict, Verdict] = {"better": "worse", "worse": "better"}


class Paired(Contract):
    """Two models on the same questions; the first is compared with the second.

    Where scores are not just 0 and 1, `only_first` are the questions on which the first scores higher, `only_second`
    those on which the second does, and `both` and `neither` those on which they score alike, above 0 and 0.
    """

    test: Literal["exact McNemar", "paired bootstrap"] = "exact McNemar"
    n: int
    looks: int = Field(default=1, description="how often the two were compared, each time on more questions")
    stricter: float = Field(default=1.0, description="what the level is divided by, for these looks")
    next_stricter: float = Field(default=6.0, description="what it is divided by at the next look")
    clusters: int = Field(default=0, description="of questions that belong together; 0: independence was assumed")
    design_effect: float = Field(default=1.0, description="n divided by it: independent questions that say as much")
    both: int
    only_first: int
    only_second: int
    neither: int
    means: tuple[float, float] = Field(description="score of each on these questions")
    difference: float
    error: float = Field(description="standard error of the difference, never 0: no flip is no proof")
    interval: Interval = Field(description="of the difference")
    p_value: float = Field(description="multiplied by `stricter`")
    p_adjusted: float = Field(description="for as many pairs as are tested together (Holm)")
    confidence: float
    margin: float = Field(description="differences below this do not matter; 0 where every one does")
    verdict: Verdict
    detectable: float | None = Field(description="smallest difference that these questions show, with a power of 0.8")
    questions_to_settle: int | None
    outside: float | None = Field(default=None, description="p-value of a difference beyond the margin; of a bootstrap")

    @property
    def mirrored(self) -> Verdict:
        """The verdict about the second."""
        return MIRRORED.get(self.verdict, self.verdict)

    @property
    def tested(self) -> str:
        """The test, how many clusters the questions come in (without them independence was assumed), and which look."""
        among = f", {self.clusters} clusters" if self.clusters else ""
        return f"{self.test}{among}" + (f", look {self.looks}" if self.looks > 1 else "")

    @property
    def flips(self) -> int:
        """Questions that the two answer differently."""
        return self.only_first + self.only_second


@lru_cache(maxsize=CACHED)
def mcnemar(only_first: float, only_second: float) -> float:
    """Return the two-sided exact McNemar p-value: the discordant pairs against a fair coin, both tails alike.

    Counts need not be whole: those of questions in clusters are divided by their design effect, and the binomial
    distribution goes on between whole numbers as the incomplete beta function.
    """
    from scipy.special import betainc

    fewer, more = sorted((only_first, only_second))
    return min(1.0, 2 * float(betainc(more, fewer + 1, 0.5))) if more else 1.0


def compare(
    first: Sequence[float],
    second: Sequence[float],
    confidence: float = 0.95,
    margin: float = 0.0,
    clusters: Sequence[str] = (),
    looks: Looks = ONE_LOOK,
) -> Paired:
    """Compare the scores of two models that answered the same questions, in the same order; the first is judged.

    `clusters` names each question's; without them independence is assumed.

    `equivalent` is said where the whole interval of the difference at 2 * confidence - 1 lies within the margin, which
    is two one-sided tests (Schuirmann 1987), whatever the other test says: a difference can be real and not matter.
    """
    pair = from_scores(first, second, confidence, margin, clusters, looks)
    return _judged(pair, pair.p_value, tests=1)


def from_scores(
    first: Sequence[float],
    second: Sequence[float],
    confidence: float = 0.95,
    margin: float = 0.0,
    clusters: Sequence[str] = (),
    looks: Looks = ONE_LOOK,
) -> Paired:
    """Return two models by their scores: McNemar's exact test where all are 0 or 1, otherwise a paired bootstrap.

    The verdict is open until the pair is judged, with the others that are tested together (see `adjusted`).
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"paired answers differ in number: {len(first)} and {len(second)}")
    both = [(float(a), float(b)) for a, b in zip(first, second, strict=True)]
    higher, lower = sum(a > b for a, b in both), sum(a < b for a, b in both)
    alike, n = sum(a == b > 0 for a, b in both), len(both)
    effect, among = design_effect([a - b for a, b in both], clusters), len(set(clusters))
    if all(score in (0, 1) for each in both for score in each):
        return from_counts(alike, higher, lower, n, confidence, margin, among, effect, looks)
    found = resampled([a - b for a, b in both], effect)
    about = {
        "clusters": among,
        "design_effect": effect,
        "test": "paired bootstrap",
        "means": (math.fsum(a for a, _ in both) / n, math.fsum(b for _, b in both) / n),
        "difference": found.mean,
        "error": max(found.error, 1 / n),
        "interval": _called(found.interval(looks.confidence(confidence)), confidence),
        "outside": _outside(found, margin),
    }
    return _open(n, (alike, higher, lower), found.p_value(), confidence, margin, about, looks)


def _called(found: Interval, confidence: float) -> Interval:
    """Return an interval that is wider for several looks under the confidence that it has with all of them."""
    return found.model_copy(update={"confidence": confidence})


def _open(
    n: int,
    counts: tuple[int, int, int],
    p_value: float,
    confidence: float,
    margin: float,
    about: Mapping[str, Any],
    looks: Looks,
) -> Paired:
    """Return a pair whose verdict is open; `counts` are the questions of both alike, of the first and of the second."""
    both, first, second = counts
    p_value = min(1.0, p_value * looks.stricter)
    return Paired(
        n=n,
        looks=looks.number,
        stricter=looks.stricter,
        next_stricter=looks.next_stricter,
        both=both,
        only_first=first,
        only_second=second,
        neither=n - both - first - second,
        p_value=p_value,
        p_adjusted=p_value,
        confidence=confidence,
        margin=margin,
        verdict="inconclusive",
        detectable=None,
        questions_to_settle=None,
        **about,
    )


def _outside(found: Resampled, margin: float) -> float:
    """Return the larger p-value of two one-sided tests: that the difference is -margin or less, margin or more."""
    return max(found.above(-margin), 1 - found.above(margin)) if margin else 1.0


def from_counts(
    both: int,
    only_first: int,
    only_second: int,
    n: int,
    confidence: float = 0.95,
    margin: float = 0.0,
    clusters: int = 0,
    effect: float = 1.0,
    looks: Looks = ONE_LOOK,
) -> Paired:
    """Return two models by how many of n questions both, only the first and only the second answered correctly.

    Questions in `clusters` are tested as n / `effect` independent ones, their design effect.
    The verdict is open until the pair is judged, with the others that are tested together (see `adjusted`).
    """
    first, second, independent = only_first / effect, only_second / effect, n / effect
    about = {
        "clusters": clusters,
        "design_effect": effect,
        "means": ((both + only_first) / n, (both + only_second) / n),
        "difference": (only_first - only_second) / n,
        "error": math.sqrt(max(first + second + 1 - (first - second) ** 2 / independent, 1.0)) / independent,
        "interval": _called(difference_interval(first, second, independent, looks.confidence(confidence)), confidence),
    }
    return _open(n, (both, only_first, only_second), mcnemar(first, second), confidence, margin, about, looks)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values for testing all of them together (Holm 1979)."""
    largest, result = 0.0, list(p_values)
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - rank)))
        result[index] = largest
    return result


def adjusted(pairs: Sequence[Paired]) -> list[Paired]:
    """Return the pairs with p-values for testing them together, and verdicts by these (Holm 1979)."""
    together = holm([pair.p_value for pair in pairs])
    return [_judged(pair, p_value, tests=len(pairs)) for pair, p_value in zip(pairs, together, strict=True)]


def _judged(pair: Paired, p_adjusted: float, tests: int) -> Paired:
    """Return the pair with its verdict, where `tests` pairs are judged together."""
    strict = 1 - (1 - pair.confidence) / (tests * pair.stricter)
    verdict: Verdict = "inconclusive"
    if _within(pair, strict):
        verdict = "equivalent"
    elif p_adjusted < 1 - pair.confidence:
        verdict = "better" if pair.difference > 0 else "worse"
    shows, settle = _reach(pair, strict)
    changed = {
        "p_adjusted": p_adjusted,
        "verdict": verdict,
        "detectable": shows,
        "questions_to_settle": settle if verdict == "inconclusive" else None,
    }
    return pair.model_copy(update=changed)


def _reach(pair: Paired, strict: float) -> tuple[float | None, int | None]:
    """Return the smallest difference that so many questions show, and how many show the one seen at the next look."""
    if pair.outside is None:
        # With hardly any flip seen their share is not known to be that low.
        share = pair.flips / pair.n if pair.flips else wilson(0, pair.n, pair.confidence).high
        counts, effect = (pair.only_first, pair.only_second, pair.n), pair.design_effect
        shown = detectable(max(1, round(pair.n / effect)), share, strict)
        return shown, questions_to_settle(*counts, _next(pair), effect=effect)
    seen = pair.difference, pair.error, pair.n
    return of_means(*seen, strict)[0], of_means(*seen, _next(pair))[1]


def _next(pair: Paired) -> float:
    """Return the confidence that the next look has to reach, after this one."""
    return 1 - (1 - pair.confidence) / pair.next_stricter


def _within(pair: Paired, confidence: float) -> bool:
    if not pair.margin:
        return False
    if pair.outside is not None:
        return pair.outside < 1 - confidence
    counts = (count / pair.design_effect for count in (pair.only_first, pair.only_second, pair.n))
    bounds = difference_interval(*counts, 2 * confidence - 1)
    return -pair.margin < bounds.low and bounds.high < pair.margin
