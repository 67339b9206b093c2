"""Intervals and tests for yes-or-no answers, alone and paired."""

from __future__ import annotations

from helpers.statistics.difference import difference_interval
from helpers.statistics.paired import Paired, Verdict, adjusted, compare, mcnemar
from helpers.statistics.power import detectable, power, questions_to_settle
from helpers.statistics.proportion import wilson

__all__ = [
    "Paired",
    "Verdict",
    "adjusted",
    "compare",
    "detectable",
    "difference_interval",
    "mcnemar",
    "power",
    "questions_to_settle",
    "wilson",
]
