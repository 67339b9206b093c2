"""Intervals and tests: for yes-or-no answers, alone and paired, and for repeated measurements."""

from __future__ import annotations

from helpers.statistics.difference import difference_interval
from helpers.statistics.paired import Paired, Verdict, adjusted, compare, from_counts, mcnemar
from helpers.statistics.power import detectable, power, questions_to_settle
from helpers.statistics.proportion import wilson
from helpers.statistics.repeated import mean_interval, welch

__all__ = [
    "Paired",
    "Verdict",
    "adjusted",
    "compare",
    "detectable",
    "difference_interval",
    "from_counts",
    "mcnemar",
    "mean_interval",
    "power",
    "questions_to_settle",
    "welch",
    "wilson",
]
