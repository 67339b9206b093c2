"""The mean of scores that are not just right or wrong, by drawing the questions again and again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from helpers.artifacts import Interval

LEAST, MOST = 1_999, 9_999  # draws
CELLS = 20_000_000  # of the table of draws and questions: 80 MB
STEP = 500  # draws at once, while the table is made


class Resampled(NamedTuple):
    """The mean of n scores or differences, its standard error, and how far chance moves a mean, in such errors."""

    n: int
    mean: float
    error: float
    strays: Any

    def p_value(self, truth: float = 0.0) -> float:
        """Return the two-sided p-value of `truth` as the true mean."""
        if not self.error:  # each question says the same: so many coins fell alike
            return 1.0 if self.mean == truth else 2.0 ** (1 - self.n)
        far = abs(self.mean - truth) / self.error
        return float((1 + (self.strays >= far - 1e-9).sum()) / (len(self.strays) + 1))

    def above(self, truth: float) -> float:
        """Return the one-sided p-value against a true mean of `truth` or less."""
        half = self.p_value(truth) / 2
        return half if self.mean > truth else 1 - half

    def interval(self, confidence: float = 0.95) -> Interval:
        """Return the mean's interval, between -1 and 1."""
        half = 0.0
        if self.error:
            place = math.ceil((len(self.strays) + 1) * confidence) - 1
            half = float(self.strays[min(place, len(self.strays) - 1)]) * self.error
        low, high = max(self.mean - half, -1.0), min(self.mean + half, 1.0)
        return Interval(low=low, high=high, confidence=confidence, method="bootstrap-t")


def resampled(values: Sequence[float], effect: float = 1.0) -> Resampled:
    """Return the mean with its symmetric bootstrap-t distribution (Hall 1988, J. R. Statist. Soc. B 50:35-45).

    `effect` is the design effect of questions in clusters. The same values give the same result each time.
    """
    from numpy import asarray, errstate, inf, maximum, sort, sqrt, where

    found = asarray(values, dtype="float64")
    n, mean, spread = len(found), float(found.mean()), float(found.std())
    if spread < 1e-12:
        return Resampled(n, mean, 0.0, ())
    shifted, drawn = (found - mean).astype("float32"), _draws(n)
    means = drawn @ shifted / n
    errors = sqrt(maximum(drawn @ shifted**2 / n - means**2, 0) / n)
    with errstate(divide="ignore", invalid="ignore"):
        strays = where(errors > 1e-6 * spread, abs(means) / errors, inf)
    return Resampled(n, mean, spread * math.sqrt(effect / n), sort(strays))


@lru_cache(maxsize=2)
def _draws(n: int) -> Any:
    """Return how often each draw of n questions with replacement holds each question: a row per draw."""
    from numpy import arange, bincount, concatenate
    from numpy.random import default_rng

    rng, left, parts = default_rng(n), min(MOST, max(LEAST, CELLS // n)), []
    while left > 0:
        rows = min(STEP, left)
        places = rng.integers(0, n, (rows, n)) + n * arange(rows)[:, None]
        parts.append(bincount(places.ravel(), minlength=rows * n).reshape(rows, n).astype("float32"))
        left -= rows
    return concatenate(parts)
