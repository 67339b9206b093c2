"""In contests whose best model is known the recommendation is right where it claims to be sure.

What is best stands in `helpers.analysis.recommendation.decide`. Here it is taken strictly: the recommended model truly
meets the SLO at the load that is said to keep it, and the must-have, and truly answers better than guessing; no other
one that does is more accurate by the margin or more; and none has a higher score by its true accuracy, its true latency
at the load that is compared, and its true cost: its price over the highest load that truly meets the SLO, not that was
measured.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest
from numpy.random import default_rng

from helpers.analysis.comparison import compare
from helpers.analysis.recommendation.ranking import utility
from helpers.datasets.criteria import COST, LATENCY, QUALITY
from helpers.statistics import paired, wilson
from tests.plugins.contests import LIMIT, Model, answers, contest, log
from tests.plugins.criteria import asked
from tests.plugins.records import a_record

CONTESTS = 400
FALSE = ("better", "worse")
pytestmark = [pytest.mark.load, pytest.mark.timeout(900)]


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    """Leave out what only advises, and compute nothing twice: no verdict depends on it."""
    for name in ("detectable", "questions_to_settle"):
        monkeypatch.setattr(paired, name, lambda *_, **__: None)
    for name in ("mcnemar", "difference_interval"):
        monkeypatch.setattr(paired, name, cache(getattr(paired, name)))
    monkeypatch.setenv("ASSAY_GIT_COMMIT", "none")  # for which git is started with every record


def compared(logs):
    """The comparison of models by what lm-eval logged."""
    records = {name: a_record(name, samples=rows) for name, rows in logs.items()}
    return compare(list(records.values()), {record.record_id: logs[name] for name, record in records.items()})


def figures(model, load):
    """The true latency of a model at a load, and the true cost of a request."""
    return model.ttft(load), (model.hourly or 0.0) / max(model.capacity, model.loads[0])


def scores(model, load, rivals, criteria, chance):
    """The true score of a model among its rivals, and the part of it that is not accuracy."""
    quality, latency, cost = (criteria.weights.get(line, 0.0) for line in (QUALITY, LATENCY, COST))
    known = [figures(each, load) for each in rivals]
    slow, dear = figures(model, load)
    rest = latency * utility(slow, min(ttft for ttft, _ in known))
    if all(model.hourly for model in rivals):
        rest += cost * utility(dear, min(price for _, price in known))
    return quality * max(model.accuracy - chance, 0) / (1 - chance) + rest, rest


def mistake(models, decision, sweeps, criteria, margin, chance):
    """Return what is wrong with a recommendation, "" where nothing is."""
    least = max([chance + 1e-9, *(line.must.value for line in criteria.musts)])
    rivals = [each for each in models if each.meets_slo and each.accuracy >= least]
    (mine,) = [model for model in models if f"{model.name} 1" == decision.recommended]
    keeps = decision.options[0].keeps
    if mine not in rivals or (keeps and mine.ttft(keeps) > LIMIT):
        return "misses a must-have"
    score, rest = scores(mine, decision.common_load, rivals, criteria, chance)
    for other in rivals:
        theirs, their_rest = scores(other, decision.common_load, rivals, criteria, chance)
        alike = abs(other.accuracy - mine.accuracy) < margin
        if other.accuracy > mine.accuracy + 1e-9 and not alike:
            return "less accurate"
        if theirs > score + 1e-9 and not (alike and their_rest <= rest + 1e-9):
            return "lower score"
    return ""


def held(draw, contests, seed, chance=0.0, session=0.0, sessions=1):
    """Return how often what happened: sure, and of these what was wrong; and how often something was recommended."""
    rng, tally = default_rng(seed), Counter()
    for _ in range(contests):
        models, n, noise, criteria, margin = draw(rng)
        _, decision, sweeps = contest(
            models, n, noise, rng, criteria, margin, chance=chance, session=session, sessions=sessions
        )
        tally["taken"] += decision.recommended is not None
        if decision.sure:
            tally["sure"] += 1
            tally[mistake(models, decision, sweeps, criteria, margin, chance)] += 1
    tally["wrong"] = tally["sure"] - tally[""]
    return tally


def any_contest(rng):
    """Two to five models of any kind: far apart, close, equal; some too slow, some not accurate enough, some dear."""
    count, top, gap = int(rng.integers(2, 6)), rng.uniform(0.55, 0.9), rng.choice([0.0, 0.03, 0.15, 0.4])
    priced = rng.random() < 0.5
    models = [
        Model(
            name=f"m{place}",
            accuracy=round(float(top - (gap * rng.random() if place else 0)), 3),
            base=float(rng.choice([60, 100, 180, 300, 600])),
            most=float(rng.choice([10, 20, 40])),
            hourly=float(rng.choice([1, 2, 4])) if priced else None,
        )
        for place in range(count)
    ]
    criteria = asked(
        least=float(rng.choice([0, 0, round(top - 0.1, 2), round(top - 0.02, 2)])),
        quality=float(rng.choice([1, 4, 8])),
        latency=float(rng.choice([0, 1])),
        cost=float(rng.choice([0, 1])),
    )
    order = [models[place] for place in rng.permutation(count)]
    questions, noise = int(rng.choice([100, 208, 600])), rng.choice([0.02, 0.05, 0.1])
    return order, questions, noise, criteria, float(rng.choice([0, 0.05]))


def test_who_claims_to_be_sure_is_right():
    tally = held(any_contest, CONTESTS, seed=5)
    print(dict(tally))
    right = wilson(tally[""], tally["sure"])
    assert tally[""] / tally["sure"] >= 0.95
    assert right.low >= 0.85
    assert tally["wrong"] <= 0.05 * CONTESTS
    assert tally["sure"] >= 0.05 * CONTESTS, "in half of the contests all are equal or nearly so"


@pytest.mark.parametrize(("count", "contests"), [(2, 600), (4, 240)])
def test_of_equal_models_none_is_called_better_on_all_questions_or_on_a_category(count, contests):
    """2,040 pairs in all."""
    models, rng, tally = [Model(f"m{place}", 0.7) for place in range(count)], default_rng(count), Counter()
    for _ in range(contests):
        pairs = compared({name: log(right, categories=4) for name, right in answers(models, 120, rng).items()}).pairs
        whole = any(pair.paired.verdict in FALSE for pair in pairs)
        part = any(part.verdict in FALSE for pair in pairs for part in pair.categories.values())
        tally += Counter(whole=whole, part=part, either=whole or part)
    print(count, dict(tally))
    for found in ("whole", "part", "either"):
        assert wilson(tally[found], contests).low <= 0.05
        assert tally[found] <= 0.05 * contests


QUICK = "the better one hardly quick enough"
HARD = {
    "a hair apart": ([Model("a", 0.705), Model("b", 0.7)], 208, asked(latency=0), 0.0),
    "five, a hair apart": ([Model(f"m{n}", 0.7 - n / 1000) for n in range(5)], 208, asked(latency=0), 0.0),
    "equivalent, a little quicker": ([Model("a", 0.8, 100), Model("b", 0.8, 102)], 600, asked(), 0.06),
    "equivalent, five a little quicker": ([Model(f"m{n}", 0.8, 100 + n) for n in range(5)], 600, asked(), 0.06),
    "equivalent, a little cheaper": (
        [Model("a", 0.8, hourly=1.0), Model("b", 0.8, hourly=1.02)], 600, asked(latency=0), 0.06,
    ),
    "better, and by a little not worth its price": (
        [Model("a", 0.75, hourly=1.01 * 10 ** (4 * (0.75 - 0.65))), Model("b", 0.65, hourly=1.0)], 600,
        asked(latency=0), 0.0,
    ),
    "hardly too inaccurate": ([Model("a", 0.6), Model("b", 0.699)], 208, asked(least=0.7), 0.0),
    "the best one hardly accurate enough": (
        [Model("a", 0.70, 50, 40), Model("b", 0.72, 180, 10)], 208, asked(least=0.7, quality=1), 0.1,
    ),
    QUICK: ([Model("a", 0.8, 448), Model("b", 0.6, 100)], 208, asked(), 0.0),
}  # fmt: skip


@pytest.mark.parametrize("case", HARD)
def test_of_no_truth_is_it_wrongly_sure_more_than_once_in_twenty(case):
    models, n, criteria, margin = HARD[case]
    contests = 60
    tally = held(lambda rng: (models, n, 0.05, criteria, margin), contests, seed=len(case))
    print(case, dict(tally))
    assert wilson(tally["wrong"], contests).low <= 0.05
    assert tally["wrong"] <= 0.05 * contests


CLEAR = {  # models, criteria, margin, in how many it is sure at least, sessions
    "two": ([Model("a", 0.85), Model("b", 0.65)], asked(), 0.0, 0.8, 1),
    "three": ([Model("a", 0.85), Model("b", 0.65), Model("c", 0.6)], asked(), 0.0, 0.8, 1),
    "one is too slow": ([Model("a", 0.7), Model("b", 0.85, 800)], asked(), 0.0, 0.95, 1),
    "one is too inaccurate": ([Model("a", 0.7, 180), Model("b", 0.5)], asked(least=0.6), 0.0, 0.5, 1),
    "with prices": ([Model("a", 0.85, hourly=1.0), Model("b", 0.6, hourly=1.0)], asked(), 0.0, 0.6, 1),
    "equivalent, at half the price": (
        [Model("a", 0.9, hourly=1.0), Model("b", 0.9, hourly=2.0)],
        asked(),
        0.1,
        0.6,
        4,
    ),
}


@pytest.mark.parametrize("case", CLEAR)
def test_where_differences_are_large_it_is_sure(case):
    models, criteria, margin, floor, sessions = CLEAR[case]
    contests = 40
    tally = held(lambda rng: (models, 208, 0.05, criteria, margin), contests, seed=len(case), sessions=sessions)
    print(case, dict(tally))
    assert tally["sure"] >= floor * contests
    assert tally["wrong"] <= 0.05 * contests


@pytest.mark.parametrize(("session", "sessions"), [(0.1, 1), (0.2, 1), (0.2, 2), (0.2, 4)])
def test_sessions_that_differ_make_nobody_wrongly_sure(session, sessions):
    """By the repeats of one session alone, 12.7 of 100 were at 10 %."""
    contests = 60
    tally = held(any_contest, contests, seed=7, session=session, sessions=sessions)
    tally += held(lambda _: (*HARD[QUICK][:2], 0.05, *HARD[QUICK][2:]), contests, 8, session=session, sessions=sessions)
    print(session, sessions, dict(tally))
    assert tally["wrong"] <= 0.05 * 2 * contests


GUESSING = {
    "five that guess, one of them fast and cheap": (
        [*(Model(f"m{n}", 0.25, 200, hourly=2.0) for n in range(4)), Model("fast", 0.25, 5, 400, hourly=0.1)], 103,
    ),
    "one that hardly guesses better, beside a fast one": ([Model("a", 0.27), Model("fast", 0.25, 5, 400)], 400),
    "worse than guessing, and fast": ([Model("a", 0.25, 180), Model("fast", 0.107, 5, 400)], 103),
}  # fmt: skip


@pytest.mark.parametrize("case", GUESSING)
def test_who_guesses_is_hardly_ever_called_the_best(case):
    models, n = GUESSING[case]
    contests = 60
    tally = held(lambda rng: (models, n, 0.05, asked(), 0.0), contests, seed=len(case), chance=0.25)
    print(case, dict(tally))
    assert wilson(tally["wrong"], contests).low <= 0.05
    assert tally["wrong"] <= 0.05 * contests


def test_where_one_knows_something_it_is_taken_and_the_fast_one_that_guesses_is_not():
    models, contests = [Model("a", 0.7), Model("fast", 0.25, 5, 400)], 60
    tally = held(lambda rng: (models, 103, 0.05, asked(), 0.0), contests, seed=3, chance=0.25)
    print(dict(tally))
    assert tally["sure"] >= 0.8 * contests
    assert tally["wrong"] <= 0.05 * contests


def slower_everywhere(rng):
    """Two models of one accuracy, of which the second is slower at every load and bears no more."""
    base, most = float(rng.choice([60, 100, 180])), float(rng.choice([10, 20, 40]))
    quick = Model("quick", 0.8, base, most)
    slow = Model("slow", 0.8, base * float(rng.uniform(1.05, 1.8)), most * float(rng.uniform(0.5, 1.0)))
    models = [(quick, slow)[place] for place in rng.permutation(2)]
    return models, 600, float(rng.choice([0.02, 0.05, 0.1])), asked(cost=0), 0.06


def test_a_model_that_is_slower_at_every_load_is_not_taken_for_its_latency():
    """Each at its own operating point, where the quicker one bears more, the slower one was taken in 29 of 100."""
    rng, tally = default_rng(11), Counter()
    for _ in range(100):
        models, n, noise, criteria, margin = slower_everywhere(rng)
        _, decision, _ = contest(models, n, noise, rng, criteria, margin)
        tally[decision.recommended, decision.sure] += 1
    print(dict(tally))
    assert tally["slow 1", True] <= 0.02 * 100
    assert tally["slow 1", False] + tally["slow 1", True] <= 0.15 * 100
    assert tally["quick 1", True] >= 0.1 * 100


def test_of_two_that_bear_the_same_the_one_with_the_shorter_wait_is_taken():
    models, rng, tally = [Model("slow", 0.8, 100), Model("quick", 0.8, 70)], default_rng(7), Counter()
    for _ in range(60):
        _, decision, _ = contest(models, 600, 0.02, rng, asked(cost=0), 0.06)
        tally[decision.recommended, decision.sure] += 1
    print(dict(tally))
    assert tally["quick 1", True] + tally["quick 1", False] >= 57
    assert tally["slow 1", True] == 0
