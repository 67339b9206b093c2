"""What a reader is told first of an evaluation."""

from __future__ import annotations

import pytest

from helpers.evaluation.told import headline
from helpers.statistics import above_chance, wilson
from tests.plugins.records import an_evaluation, some_samples


@pytest.mark.parametrize(
    ("correct", "told"), [(64, "; better than guessing"), (55, "may be no better than"), (30, "; worse than")]
)
def test_it_is_told_by_the_recommendations_test_whether_a_score_beats_guessing(correct, told):
    interval = wilson(correct, 208, 0.95)
    found = an_evaluation(some_samples(0.5)).model_copy(
        update={"n": 208, "correct": correct, "score": correct / 208, "interval": interval, "chance": 0.25}
    )
    assert told in headline(found)
    assert (above_chance([1.0] * correct + [0.0] * (208 - correct), 0.25) < 0.05) == ("; better" in told)


def test_the_interval_of_a_score_that_beats_guessing_may_include_it():
    assert wilson(64, 208, 0.95).low < 0.25
