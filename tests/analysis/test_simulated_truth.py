"""What the verdicts promise, held against many simulated contests whose truth is known."""

from __future__ import annotations

import math
from functools import cache

import pytest
from numpy import clip
from numpy.random import default_rng
from scipy.optimize import minimize_scalar
from scipy.special import expit
from scipy.stats import norm

from helpers.statistics import (
    above_chance,
    compare,
    design_effect,
    detectable,
    difference_interval,
    last_of,
    mcnemar,
    power,
    questions_above,
    wilson,
)
from helpers.statistics.difference import score

PAIRS = 2000
interval = cache(difference_interval)
p_value = cache(mcnemar)


def contests(n, only_first, only_second, seed, count=PAIRS):
    """Return `count` contests on n questions as (only first, only second)."""
    drawn = default_rng(seed).multinomial(n, [only_first, only_second, 1 - only_first - only_second], size=count)
    return [(int(a), int(b)) for a, b, _ in drawn]


@pytest.mark.parametrize(("n", "flips"), [(100, 0.1), (208, 0.37), (1000, 0.05)])
def test_equal_models_are_called_different_in_at_most_one_contest_in_twenty(n, flips):
    false = sum(p_value(a, b) < 0.05 for a, b in contests(n, flips / 2, flips / 2, seed=n))
    assert wilson(false, PAIRS).low <= 0.05
    assert false / PAIRS <= 0.05


@pytest.mark.parametrize(("n", "flips"), [(100, 0.2), (208, 0.37), (500, 0.1)])
def test_the_smallest_detectable_difference_is_detected_four_times_in_five(n, flips):
    difference = detectable(n, flips)
    share = max(flips, difference)
    drawn = contests(n, (share + difference) / 2, (share - difference) / 2, seed=n, count=4 * PAIRS)
    seen = sum(p_value(a, b) < 0.05 and a > b for a, b in drawn) / len(drawn)
    assert seen == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(("n", "only_first", "only_second"), [(100, 0.1, 0.05), (208, 0.31, 0.06), (500, 0.05, 0.05)])
def test_the_interval_of_the_difference_holds_the_truth_as_often_as_it_says(n, only_first, only_second):
    drawn = contests(n, only_first, only_second, seed=3 * n, count=4 * PAIRS)
    held = [interval(a, b, n) for a, b in drawn]
    truth = only_first - only_second
    assert sum(i.low <= truth <= i.high for i in held) / len(held) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(("n", "share"), [(50, 0.8), (208, 0.577), (208, 0.95)])
def test_the_interval_of_a_share_holds_the_truth_as_often_as_it_says(n, share):
    drawn = default_rng(n).binomial(n, share, size=4 * PAIRS)
    bounds = {int(k): wilson(int(k), n) for k in set(drawn)}
    held = sum(bounds[int(k)].low <= share <= bounds[int(k)].high for k in drawn) / len(drawn)
    assert held == pytest.approx(0.95, abs=0.02)


def test_models_that_differ_by_the_margin_are_called_equivalent_in_at_most_one_contest_in_twenty():
    n, margin, flips = 400, 0.05, 0.15
    inside = [
        interval(a, b, n, 0.9) for a, b in contests(n, (flips + margin) / 2, (flips - margin) / 2, seed=11, count=4000)
    ]
    false = sum(-margin < i.low and i.high < margin for i in inside) / len(inside)
    assert false <= 0.05 + 0.007  # the score test is asymptotic: two standard errors of 4,000 draws


def test_the_published_interval_comes_back():
    found = difference_interval(
        12, 2, 50
    )  # Newcombe 1998, Statistics in Medicine 17:2635-2650, example with 36, 12, 2, 0
    assert (found.low, found.high) == (pytest.approx(0.0611, abs=5e-5), pytest.approx(0.3447, abs=5e-5))


@pytest.mark.parametrize(("b", "c", "n"), [(12, 2, 50), (5, 9, 44), (3, 0, 30)])
@pytest.mark.parametrize("difference", [-0.1, 0.02, 0.3])
def test_the_statistic_uses_the_likeliest_share(b, c, n, difference):
    def unlikelihood(q):
        return -(b * math.log(q + difference) + c * math.log(q) + (n - b - c) * math.log(1 - 2 * q - difference))

    low, high = max(0.0, -difference) + 1e-12, (1 - difference) / 2 - 1e-12
    q = minimize_scalar(unlikelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    by_hand = (b - c - n * difference) / math.sqrt(n * (2 * q + difference * (1 - difference)))
    assert score(b, c, n, difference) == pytest.approx(by_hand, rel=1e-5)


def test_no_flip_at_all_still_leaves_room_for_a_difference():
    found = difference_interval(0, 0, 44)
    z = norm.ppf(0.975)
    assert found.high == pytest.approx(z**2 / (44 + z**2), rel=1e-6)  # the score interval of 0 of 44
    assert found.low == pytest.approx(-found.high)


def test_power_is_counted_exactly_for_a_handful_of_questions():
    # 6 questions, all of them flips: only six of six in one direction is rare enough (2 / 64 < 0.05).
    assert power(6, 1.0, 0.8) == pytest.approx(0.9**6)
    assert detectable(5, 0.5) is None


def answers(both, first, second, neither):
    pairs = [(True, True)] * both + [(True, False)] * first + [(False, True)] * second + [(False, False)] * neither
    return [a for a, _ in pairs], [b for _, b in pairs]


def test_models_within_the_margin_are_equivalent_and_without_one_inconclusive():
    near = answers(300, 8, 6, 86)
    assert compare(*near).verdict == "inconclusive"
    assert compare(*near, margin=0.03).verdict == "equivalent"
    assert compare(*near, margin=0.01).verdict == "inconclusive"
    assert compare(*near, margin=0.03).questions_to_settle is None


def test_a_real_difference_that_does_not_matter_is_equivalent():
    result = compare(*answers(1900, 30, 8, 62), margin=0.03)
    assert result.p_value < 0.001
    assert result.verdict == "equivalent"


def test_what_was_asked_says_which_difference_it_would_have_shown():
    result = compare(*answers(60, 14, 9, 77))
    assert 0.05 < result.detectable < 0.12
    assert result.interval.low < 0 < result.interval.high
    assert compare(*answers(60, 40, 10, 50)).interval.low > 0


# Scores between right and wrong


def scores(rng, n, lead=0.0):
    """The scores of two models on the same n questions: many 0 and 1, the rest between, alike in their difficulty."""
    easy = rng.beta(0.5, 0.5, n)
    first, second = (easy + rng.normal(0, 0.25, n) for _ in range(2))
    return clip(first + lead, 0, 1).tolist(), clip(second, 0, 1).tolist()


@pytest.mark.parametrize("n", [25, 120])
def test_means_that_are_equal_are_called_different_in_at_most_one_contest_in_twenty(n):
    rng, drawn = default_rng(n), 400
    pairs = [compare(*scores(rng, n)) for _ in range(drawn)]
    assert {pair.test for pair in pairs} == {"paired bootstrap"}
    assert wilson(sum(pair.verdict != "inconclusive" for pair in pairs), drawn).low <= 0.05
    held = sum(pair.interval.low <= 0 <= pair.interval.high for pair in pairs)
    assert wilson(held, drawn).high >= 0.95


def test_a_difference_of_means_at_the_margin_is_called_equivalent_in_at_most_one_contest_in_twenty():
    n, rng, drawn = 120, default_rng(2), 400
    easy = rng.uniform(0.3, 0.7, (drawn, n))
    noise = rng.normal(0, 0.1, (2, drawn, n))
    rows = zip((easy + noise[0] + 0.05).tolist(), (easy + noise[1]).tolist(), strict=True)
    false = sum(compare(first, second, margin=0.05).verdict == "equivalent" for first, second in rows)
    assert wilson(false, drawn).low <= 0.05


def test_the_bootstrap_agrees_with_students_test_where_that_holds():
    from scipy.stats import ttest_rel

    for seed in range(5):
        first, second = scores(default_rng(seed), 400, lead=0.02)
        ours, theirs = compare(first, second), ttest_rel(first, second)
        assert ours.difference == pytest.approx(sum(first) / 400 - sum(second) / 400)
        assert ours.p_value == pytest.approx(theirs.pvalue, abs=0.02)
        bounds = theirs.confidence_interval(0.95)
        assert (ours.interval.low, ours.interval.high) == pytest.approx((bounds.low, bounds.high), abs=0.002)


def test_what_settles_a_difference_of_means_and_what_shows_one_above_chance_do_so_four_times_in_five():
    rng, drawn = default_rng(7), 200
    large = compare(*scores(rng, 10_000, lead=0.04))
    n = round(10_000 * (large.detectable / large.difference) ** 2)
    shown = [compare(*scores(rng, n, lead=0.04)).verdict == "better" for _ in range(drawn)]
    assert 0.68 < sum(shown) / drawn < 0.92
    n = 100 + questions_above(0.35, 100, 0.25)
    seen = [above_chance((rng.random(n) < 0.35).astype(float).tolist(), 0.25) < 0.05 for _ in range(4 * drawn)]
    assert 0.72 < sum(seen) / len(seen) < 0.88


@pytest.mark.parametrize("n", [24, 103])
def test_who_guesses_is_called_better_than_guessing_in_at_most_one_contest_in_twenty(n):
    rng, drawn = default_rng(n), 4 * PAIRS
    rights = rng.binomial(n, 0.25, drawn)
    p_values = {int(k): above_chance([1.0] * int(k) + [0.0] * (n - int(k)), 0.25) for k in set(rights)}
    false = sum(p_values[int(k)] < 0.05 for k in rights)
    assert wilson(false, drawn).low <= 0.05
    means = sum(above_chance(clip(rng.normal(0.5, 0.2, n), 0, 1).tolist(), 0.5) < 0.05 for _ in range(300))
    assert wilson(means, 300).low <= 0.05


def test_scores_that_all_say_the_same_are_coins_that_fell_alike():
    assert compare([0.5] * 10, [0.4] * 10).p_value == pytest.approx(2 / 2**10)
    assert compare([0.5] * 3, [0.4] * 3).verdict == "inconclusive"
    assert compare([0.5] * 10, [0.5] * 10).p_value == 1


def sure_after(questions, planned, rng, apart=0.0, contests=400):
    """The share of contests in which somebody who looks after so many questions ends sure, and the questions asked."""
    sure = asked = 0
    for _ in range(contests):
        flips = rng.random(questions[-1]) < 0.3
        first = flips & (rng.random(questions[-1]) < 0.5 + apart / 0.6)
        for number, n in enumerate(questions, 1):
            b, c = int(first[:n].sum()), int((flips[:n] & ~first[:n]).sum())
            looks = last_of(questions[:number], planned)
            if mcnemar(b, c) * looks.stricter < 0.05:
                sure += 1
                break
        asked += n
    return sure / contests, asked / contests


LOOKS = [50, 100, 200, 300, 400, 500, 600]


@pytest.mark.parametrize("planned", [0, 600])
@pytest.mark.parametrize("questions", [LOOKS, [208, 600], [300, 600]])
def test_who_asks_more_until_it_is_sure_is_hardly_ever_wrong(questions, planned):
    """At 5 % each time, 10 to 17 of 100 were."""
    assert sure_after(questions, planned, default_rng(3))[0] <= 0.05


def test_with_a_plan_little_power_is_lost_and_fewer_questions_are_asked():
    (planned, asked), (once, _) = (
        sure_after(questions, 600, default_rng(4), apart=0.06) for questions in (LOOKS, [600])
    )
    assert once - planned <= 0.05
    assert asked < 0.85 * 600


def test_looks_without_a_plan_and_beyond_one_leave_something_for_every_later_look():
    assert [last_of(range(1, count + 1)).stricter for count in (1, 2, 3)] == [1, 6, 12]
    assert last_of([600], 600)[:2] == (1, pytest.approx(1))
    halves = [0.05 / last_of(looks, 600).stricter for looks in ([300], [300, 600])]
    assert [norm.isf(level / 2) for level in halves] == pytest.approx([2.9626, 1.9686], abs=1e-3), "as tables have it"
    assert last_of([208], 600).stricter > 20
    assert last_of([600, 700], 600).stricter == 6


def clustered_contests(clusters, size, shared, seed, count):
    """Return contests whose questions come in clusters: each model knows a topic more or less well.

    `shared` is the standard deviation of that in logits; a row of differences for each contest, and the clusters.
    """
    rng, names = default_rng(seed), [place // size for place in range(clusters * size)]
    hard = rng.normal(0, 1, (count, clusters * size))
    known = [rng.normal(0, shared, (count, clusters))[:, names] for _ in range(2)]
    right = [rng.random(hard.shape) < expit(0.5 + hard + of_topic) for of_topic in known]
    return right[0].astype(int) - right[1], [str(name) for name in names]


@pytest.mark.parametrize(
    ("clusters", "size", "shared"),
    [(31, 7, 0.0), (31, 7, 0.8), (31, 7, 1.5), (10, 20, 0.8), (8, 25, 0.4), (100, 2, 1.5)],
)
def test_equal_models_are_seldom_called_different_where_questions_come_in_clusters(clusters, size, shared):
    differences, names = clustered_contests(clusters, size, shared, seed=clusters, count=PAIRS)
    false = alone = 0
    for row in differences:
        b, c, effect = int((row > 0).sum()), int((row < 0).sum()), design_effect(row.tolist(), names)
        false += mcnemar(b / effect, c / effect) < 0.05
        alone += mcnemar(b, c) < 0.05
    assert false / PAIRS <= 0.054
    if shared > 1 and size > 2:
        assert alone / PAIRS > 0.15, "what is called different where clusters are ignored"
