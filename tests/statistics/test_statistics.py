"""Intervals and tests against published values and against brute force."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.statistics import (
    Estimate,
    adjusted,
    compare,
    design_effect,
    lead,
    mcnemar,
    mean_interval,
    mean_of_scores,
    p_value,
    questions_to_settle,
    wilson,
)


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, Statistics in Medicine 17:857-872, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_interval(correct, n, low, high):
    interval = wilson(correct, n)
    assert (interval.low, interval.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert (interval.method, interval.confidence) == ("wilson", 0.95)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_widens_with_confidence(counts):
    correct, n = counts
    narrow, wide = wilson(correct, n, 0.8), wilson(correct, n, 0.99)
    assert -1e-12 <= wide.low <= narrow.low <= correct / n + 1e-12
    assert correct / n - 1e-12 <= narrow.high <= wide.high <= 1 + 1e-12


def test_mcnemar_is_the_share_of_coin_tosses_at_least_as_uneven():
    heads = [sum(tosses) for tosses in itertools.product((0, 1), repeat=9)]
    as_uneven = sum(abs(count - 4.5) >= abs(7 - 4.5) for count in heads)
    assert mcnemar(7, 2) == pytest.approx(as_uneven / 2**9)


def test_mcnemar_of_models_that_never_differ_is_one():
    assert mcnemar(0, 0) == 1.0


def answers(both, first, second, neither):
    pairs = [(True, True)] * both + [(True, False)] * first + [(False, True)] * second + [(False, False)] * neither
    return [a for a, _ in pairs], [b for _, b in pairs]


def test_a_clear_difference_is_called_better_and_its_mirror_worse():
    first, second = answers(60, 40, 10, 50)
    result, mirrored = compare(first, second), compare(second, first)
    assert (result.verdict, mirrored.verdict) == ("better", "worse")
    assert (result.both, result.only_first, result.only_second, result.neither) == (60, 40, 10, 50)
    assert result.difference == pytest.approx(30 / 160)
    assert result.p_value == mirrored.p_value == pytest.approx(2.386e-05, rel=1e-3)
    assert result.questions_to_settle is None
    assert result.flips == 50


def test_a_small_difference_is_inconclusive_and_says_how_many_questions_would_settle_it():
    result = compare(*answers(60, 14, 9, 77))
    assert result.verdict == "inconclusive"
    # Connor's formula by hand: p = 14/160, q = 9/160, at the sixth part of the level, which a second look has.
    s, d = 23 / 160, 5 / 160
    assert result.questions_to_settle == math.ceil((2.638257 * s**0.5 + 0.841621 * (s - d**2) ** 0.5) ** 2 / d**2)


def test_no_number_of_questions_settles_no_difference():
    assert compare(*answers(60, 10, 10, 80)).questions_to_settle is None


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 200))
def test_what_would_settle_it_is_always_more_than_was_asked(first, second, same):
    needed = questions_to_settle(first, second, max(first + second + same, 1))
    assert needed is None if first == second else needed > first + second + same - 1


def test_the_questions_that_would_settle_it_do_so_four_times_in_five():
    from numpy.random import default_rng

    p, q, rng = 0.15, 0.08, default_rng(5)
    n = questions_to_settle(15, 8, 100)
    drawn = rng.multinomial(n, [p, q, 1 - p - q], size=400)
    shown = sum(mcnemar(int(a), int(b)) < 0.05 for a, b, _ in drawn) / 400
    assert 0.70 < shown < 0.88  # the exact test is a little more cautious than the formula


def test_answers_to_different_numbers_of_questions_are_refused():
    with pytest.raises(ValueError, match="differ in number"):
        compare([True], [True, False])


def test_several_pairs_are_held_to_a_stricter_measure():
    pairs = [compare(*answers(60, 40, 10, 50)), compare(*answers(60, 20, 8, 72)), compare(*answers(60, 14, 9, 77))]
    raw = [pair.p_value for pair in pairs]
    assert [pair.verdict for pair in pairs] == ["better", "better", "inconclusive"]
    together = adjusted(pairs)
    assert [pair.p_adjusted for pair in together] == pytest.approx([3 * raw[0], 2 * raw[1], max(2 * raw[1], raw[2])])
    assert [pair.verdict for pair in together] == ["better", "inconclusive", "inconclusive"]
    assert together[1].questions_to_settle is not None


def test_one_pair_alone_is_not_adjusted():
    (pair,) = adjusted([compare(*answers(60, 40, 10, 50))])
    assert pair.p_adjusted == pair.p_value


@given(st.lists(st.floats(1, 1000), min_size=2, max_size=6))
def test_the_interval_of_repeats_is_scipys(values):
    from scipy import stats

    found = mean_interval(values)
    spread = stats.sem(values)
    if spread:
        low, high = stats.t.interval(0.95, len(values) - 1, loc=sum(values) / len(values), scale=spread)
        assert (found.low, found.high) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))


def test_one_measurement_knows_no_noise():
    assert mean_interval([5.0]) is None
    assert Estimate.of([5.0]) is None


def test_measurements_without_noise_differ_or_do_not():
    assert p_value(lead([Estimate.of([5.0, 5.0])], [Estimate.of([5.0, 5.0])])) == 1.0
    assert p_value(lead([Estimate.of([5.0, 5.0])], [Estimate.of([6.0, 6.0])])) == 0.0


def test_the_design_effect_is_one_for_independent_questions_and_grows_with_what_clusters_share():
    alike = [1.0] * 10 + [0.0] * 10
    own = [str(place) for place in range(20)]
    assert design_effect(alike, ()) == design_effect(alike, ["all"] * 20) == 1.0
    assert 1.0 <= design_effect(alike, own) < 1.2  # Student's t for twenty clusters, and nothing else
    four = [str(place // 5) for place in range(20)]
    assert design_effect(alike, four) > 5  # four topics, each known or not known as a whole
    assert design_effect([1.0, 0.0] * 10, four) == 1.0  # clusters that differ less than chance would have it


def test_questions_in_clusters_are_tested_as_fewer_independent_ones():
    first = [1.0] * 24 + [0.0] * 16 + [1.0] * 40
    second = [0.0] * 12 + [1.0] * 12 + [0.0] * 16 + [1.0] * 36 + [0.0] * 4
    clusters = [str(place // 8) for place in range(80)]
    plain, clustered = compare(first, second), compare(first, second, clusters=clusters)
    assert (plain.clusters, plain.design_effect) == (0, 1.0)
    assert clustered.clusters == 10
    assert clustered.design_effect > 2
    assert clustered.difference == plain.difference
    assert clustered.p_value > plain.p_value
    width = plain.interval.high - plain.interval.low
    wide = clustered.interval.high - clustered.interval.low
    assert wide > 1.5 * width
    assert clustered.detectable > plain.detectable
    assert questions_to_settle(12, 8, 80, effect=3.0) == pytest.approx(3 * questions_to_settle(12, 8, 80), abs=3)


def test_scores_between_0_and_1_are_widened_by_the_same_effect():
    scores = [0.9, 0.8, 0.7, 0.2, 0.1, 0.3] * 8
    clusters = [str(place // 3) for place in range(48)]
    other = [0.5] * 48
    plain, clustered = compare(scores, other), compare(scores, other, clusters=clusters)
    assert clustered.design_effect > 1.5
    assert clustered.error == pytest.approx(plain.error * math.sqrt(clustered.design_effect))
    alone, together = mean_of_scores(scores), mean_of_scores(scores, clusters=clusters)
    assert together.high - together.low > 1.2 * (alone.high - alone.low)
