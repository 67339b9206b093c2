"""What a reader is told first of an evaluation."""

from __future__ import annotations

import pytest

from helpers.artifacts import Metric, NotMeasured
from helpers.evaluation.told import PAIRED, headline, paired, summary
from helpers.statistics import above_chance, compare, wilson
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


def test_what_nobody_asked_for_is_told_with_its_reason():
    told = summary(NotMeasured(name="tools", why="use-case.yaml names no evaluation tools"))
    assert "tools" in told
    assert "use-case.yaml names no evaluation tools" in told


def test_each_further_figure_has_a_line_with_its_interval_and_what_it_was_computed_from():
    others = (
        Metric(name="fields", value=0.25, n=8, kind="mean", interval=wilson(2, 8)),
        Metric(name="price", value=41.26, unit="ms", better="lower", n=7, kind="mean"),
    )
    found = an_evaluation(some_samples(0.5)).model_copy(update={"others": others, "evaluator": "structured_output"})
    _, fields, price, *_, last = summary(found).splitlines()
    assert [fields, price] == ["fields: 0.250 (0.071 to 0.591), n = 8", "price: 41.3 ms, n = 7"]
    assert "example" not in last


@pytest.mark.parametrize(
    ("shots", "told"), [(0, "0 worked examples"), (1, "1 worked example"), (3, "3 worked examples")]
)
def test_worked_examples_are_told_of_lm_evals_questions(shots, told):
    assert summary(an_evaluation(some_samples(0.5), shots=shots)).endswith(f" with {told}.")


def test_a_test_of_one_score_against_another_is_told_with_what_it_rests_on():
    row = paired(compare([1, 1, 1, 0, 1], [0, 0, 1, 0, 1]))
    counts = {"both": 2, "only_first": 2, "only_second": 0, "neither": 1, "p_value": 0.5, "difference": 0.4}
    assert {name: row[name] for name in counts} == counts
    found = an_evaluation(some_samples(0.5)).model_copy(update={"detail": {PAIRED: {"auto against required": row}}})
    [line] = [line for line in summary(found).splitlines() if line.startswith("auto against required")]
    assert "+0.400 (" in line
    assert "on 5 rows, 2 higher by the first and 0 by the second, p = 0.5" in line
