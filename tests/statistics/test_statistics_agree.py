"""The statistics against scipy and statsmodels where those have the same test, to 1e-9, and against counting."""

from __future__ import annotations

import gc
import math
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import comb
from statsmodels.stats import contingency_tables, inter_rater, multitest, proportion, weightstats

from helpers.statistics import (
    Estimate,
    adjusted,
    cohen_kappa,
    compare,
    difference_interval,
    lead,
    mcnemar,
    mean_interval,
    p_value,
    power,
    wilson,
)
from helpers.statistics.difference import score

CONFIDENCE = st.sampled_from([0.8, 0.9, 0.95, 0.99])
COUNTS = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
TABLES = st.tuples(st.integers(0, 60), st.integers(0, 30), st.integers(0, 30), st.integers(0, 60)).filter(any)
MEASURED = st.lists(st.floats(0.1, 1000), min_size=2, max_size=8).filter(lambda values: len(set(values)) > 1)


def same(value):
    return pytest.approx(value, rel=1e-9, abs=1e-9)


def answers(both, first, second, neither):
    pairs = [(True, True)] * both + [(True, False)] * first + [(False, True)] * second + [(False, False)] * neither
    return [a for a, _ in pairs], [b for _, b in pairs]


@given(COUNTS, CONFIDENCE)
def test_wilson_is_that_of_statsmodels(counts, confidence):
    ours = wilson(*counts, confidence)
    assert (ours.low, ours.high) == same(proportion.proportion_confint(*counts, 1 - confidence, method="wilson"))


@given(COUNTS, CONFIDENCE)
def test_wilson_is_that_of_scipy(counts, confidence):
    theirs = stats.binomtest(*counts).proportion_ci(confidence, method="wilson")
    ours = wilson(*counts, confidence)
    assert (ours.low, ours.high) == same((theirs.low, theirs.high))


@given(TABLES)
def test_mcnemar_is_that_of_statsmodels_and_scipys_binomial_test(table):
    both, first, second, neither = table
    theirs = contingency_tables.mcnemar([[both, first], [second, neither]], exact=True).pvalue
    ours = compare(*answers(*table)).p_value
    assert ours == mcnemar(first, second) == same(theirs)
    if first + second:
        assert ours == same(stats.binomtest(first, first + second, 0.5).pvalue)


@settings(deadline=None)
@given(st.lists(TABLES, min_size=1, max_size=6))
def test_holm_is_that_of_statsmodels(tables):
    pairs = [compare(*answers(*table)) for table in tables]
    with patch.object(gc, "collect"):  # which statsmodels calls each time, for half a second
        rejected, theirs, *_ = multitest.multipletests([pair.p_value for pair in pairs], 0.05, method="holm")
    together = adjusted(pairs)
    assert [pair.p_adjusted for pair in together] == same(list(theirs))
    decided = [pair.p_adjusted < 0.05 for pair in together]
    # statsmodels rejects at p = alpha too, which no exact test gives here.
    assert decided == list(rejected)
    assert [pair.verdict in ("better", "worse") for pair in together] == decided


@given(MEASURED, MEASURED)
def test_welch_is_that_of_statsmodels_and_scipy(first, second):
    _, theirs, _ = weightstats.ttest_ind(first, second, usevar="unequal")
    ours = p_value(lead([Estimate.of(first)], [Estimate.of(second)]))
    assert ours == same(theirs)
    assert ours == same(stats.ttest_ind(first, second, equal_var=False).pvalue)


@given(MEASURED, CONFIDENCE)
def test_the_interval_of_a_mean_is_that_of_statsmodels_and_scipy(values, confidence):
    ours = mean_interval(values, confidence)
    assert (ours.low, ours.high) == same(weightstats.DescrStatsW(values).tconfint_mean(1 - confidence))
    theirs = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    assert (ours.low, ours.high) == same((theirs.low, theirs.high))


@given(
    st.integers(1, 14), st.floats(0.05, 1), st.floats(0, 1), st.sampled_from([0.8, 0.95]),
)  # fmt: skip
@settings(deadline=None)
def test_the_power_is_the_sum_over_everything_that_can_happen(n, flips, part, confidence):
    difference = part * flips
    first, second = (flips + difference) / 2, (flips - difference) / 2
    counted = math.fsum(
        comb(n, b, exact=True) * comb(n - b, c, exact=True) * first**b * second**c * (1 - flips) ** (n - b - c)
        for b in range(n + 1)
        for c in range(n - b + 1)
        if b > c and mcnemar(b, c) <= 1 - confidence
    )
    assert power(n, flips, difference, confidence) == same(counted)


@given(TABLES, CONFIDENCE)
def test_at_both_ends_of_the_interval_the_score_test_just_rejects(table, confidence):
    # Neither scipy nor statsmodels has Tango's interval; its published example is in test_simulated_truth.py.
    _, first, second, _ = table
    n, limit = sum(table), stats.norm.ppf(0.5 + confidence / 2)
    found = difference_interval(first, second, n, confidence)
    assert -1 <= found.low <= (first - second) / n <= found.high <= 1
    for end, side in ((found.low, limit), (found.high, -limit)):
        if abs(end) < 1:
            assert score(first, second, n, end) == pytest.approx(side, abs=1e-5)


@given(TABLES, st.sampled_from([0.02, 0.05, 0.1, 0.3]))
@settings(deadline=None)
def test_equivalent_is_what_two_one_sided_score_tests_say(table, margin):
    _, first, second, _ = table
    n = sum(table)
    above, below = score(first, second, n, -margin), score(first, second, n, margin)
    two = stats.norm.sf(above) < 0.05 and stats.norm.cdf(below) < 0.05
    assert (compare(*answers(*table), margin=margin).verdict == "equivalent") == two


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=50))
def test_kappa_is_statsmodels_and_none_where_nothing_can_differ(pairs):
    first, second = zip(*pairs, strict=True)
    found = cohen_kappa(first, second)
    if len({*first, *second}) == 1:
        assert found is None
    else:
        table = inter_rater.to_table(list(pairs))[0]
        assert found == pytest.approx(inter_rater.cohens_kappa(table, return_results=False), abs=1e-9)
