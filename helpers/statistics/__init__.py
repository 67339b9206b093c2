"""Intervals and tests: for answers, alone and paired, and for repeated measurements."""

from __future__ import annotations

from helpers.statistics.agreement import cohen_kappa
from helpers.statistics.clusters import design_effect, effect_of
from helpers.statistics.difference import difference_interval
from helpers.statistics.looks import Looks, last_of
from helpers.statistics.paired import Paired, Verdict, adjusted, compare, from_counts, from_scores, holm, mcnemar
from helpers.statistics.power import detectable, power, questions_above, questions_to_settle, questions_within
from helpers.statistics.proportion import above_chance, mean_of_scores, share_above, wilson
from helpers.statistics.repeated import Estimate, half_width, lead, mean_interval, p_value

__all__ = [
    "Estimate",
    "Looks",
    "Paired",
    "Verdict",
    "above_chance",
    "adjusted",
    "cohen_kappa",
    "compare",
    "design_effect",
    "detectable",
    "difference_interval",
    "effect_of",
    "from_counts",
    "from_scores",
    "half_width",
    "holm",
    "last_of",
    "lead",
    "mcnemar",
    "mean_interval",
    "mean_of_scores",
    "p_value",
    "power",
    "questions_above",
    "questions_to_settle",
    "questions_within",
    "share_above",
    "wilson",
]
