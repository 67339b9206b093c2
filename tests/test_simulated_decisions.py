"""In contests whose best model is known the recommendation is right where it claims to be sure.

What is best stands in `helpers.decision.decide`. Here it is taken strictly: the recommended model truly meets the SLO
and the must-have; no other one that does is more accurate by the margin or more; and none has a higher score by its
true accuracy, latency and cost: its price over the highest load that truly meets the SLO, not that was measured.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import cache

import pytest
from numpy.random import default_rng

from helpers.comparison import compare
from helpers.decision import Needs
from helpers.statistics import paired, wilson
from tests.plugins.contests import LIMIT, Model, answers, contest, log
from tests.plugins.records import a_record

CONTESTS = 400
FALSE = ("better", "worse")
pytestmark = [pytest.mark.load, pytest.mark.timeout(900)]


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    """Leave out what only advises, and compute nothing twice: no verdict depends on it."""
    for name in ("detectable", "questions_to_settle"):
        monkeypatch.setattr(paired, name, lambda *_: None)
    for name in ("mcnemar", "difference_interval"):
        monkeypatch.setattr(paired, name, cache(getattr(paired, name)))


def compared(logs):
    """The comparison of models by what lm-eval logged."""
    records = {name: a_record(name, samples=rows) for name, rows in logs.items()}
    return compare(list(records.values()), {record.record_id: logs[name] for name, record in records.items()})


def scores(model, sweep, needs, priced):
    """The true score of a model at its operating point, and the part of it that is not accuracy; as logarithms."""
    quality, latency, cost = needs.weights
    load = sweep.chosen.rate if sweep.chosen else model.loads[0]
    rest = -latency * math.log(model.ttft(load))
    rest += cost * math.log(max(model.capacity, model.loads[0]) / model.hourly) if priced else 0.0
    return quality * math.log(model.accuracy) + rest, rest


def mistake(models, sweeps, recommended, needs, margin):
    """Return what is wrong with recommending this model, "" where nothing is."""
    (mine,) = [model for model in models if f"{model.name} 1" == recommended]
    if not mine.meets_slo or mine.accuracy < needs.min_accuracy or mine.ttft(sweeps[mine.name].chosen.rate) > LIMIT:
        return "misses a must-have"
    priced = all(model.hourly for model in models)
    score, rest = scores(mine, sweeps[mine.name], needs, priced)
    for other in models:
        if other is mine or not other.meets_slo or other.accuracy < needs.min_accuracy:
            continue
        theirs, their_rest = scores(other, sweeps[other.name], needs, priced)
        alike = abs(other.accuracy - mine.accuracy) < margin
        if other.accuracy > mine.accuracy + 1e-9 and not alike:
            return "less accurate"
        if theirs > score + 1e-9 and not (alike and their_rest <= rest + 1e-9):
            return "lower score"
    return ""


def held(draw, contests, seed):
    """Return how often what happened: sure, and of these what was wrong."""
    rng, tally = default_rng(seed), Counter()
    for _ in range(contests):
        models, n, noise, needs, margin = draw(rng)
        _, decision, sweeps = contest(models, n, noise, rng, needs, margin)
        if decision.sure:
            tally["sure"] += 1
            tally[mistake(models, sweeps, decision.recommended, needs, margin)] += 1
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
    needs = Needs(
        min_accuracy=float(rng.choice([0, 0, round(top - 0.1, 2), round(top - 0.02, 2)])),
        quality_weight=float(rng.choice([1, 4, 8])),
        latency_weight=float(rng.choice([0, 1])),
        cost_weight=float(rng.choice([0, 1])),
    )
    order = [models[place] for place in rng.permutation(count)]
    return order, int(rng.choice([100, 208, 600])), rng.choice([0.02, 0.05, 0.1]), needs, float(rng.choice([0, 0.05]))


def test_who_claims_to_be_sure_is_right():
    tally = held(any_contest, CONTESTS, seed=5)
    print(dict(tally))
    right = wilson(tally[""], tally["sure"])
    assert tally[""] / tally["sure"] >= 0.95
    assert right.low >= 0.9
    assert tally["wrong"] <= 0.05 * CONTESTS
    assert tally["sure"] >= 0.1 * CONTESTS


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


HARD = {
    "a hair apart": ([Model("a", 0.705), Model("b", 0.7)], 208, Needs(latency_weight=0), 0.0),
    "five, a hair apart": ([Model(f"m{n}", 0.7 - n / 1000) for n in range(5)], 208, Needs(latency_weight=0), 0.0),
    "equivalent, a little quicker": ([Model("a", 0.8, 100), Model("b", 0.8, 102)], 600, Needs(), 0.06),
    "equivalent, five a little quicker": ([Model(f"m{n}", 0.8, 100 + n) for n in range(5)], 600, Needs(), 0.06),
    "equivalent, a little cheaper": (
        [Model("a", 0.8, hourly=1.0), Model("b", 0.8, hourly=1.02)], 600, Needs(latency_weight=0), 0.06,
    ),
    "better, and by a little not worth its price": (
        [Model("a", 0.75, hourly=1.01 * (0.75 / 0.65) ** 4), Model("b", 0.65, hourly=1.0)], 600,
        Needs(latency_weight=0), 0.0,
    ),
    "hardly too inaccurate": ([Model("a", 0.6), Model("b", 0.699)], 208, Needs(min_accuracy=0.7), 0.0),
    "the best one hardly accurate enough": (
        [Model("a", 0.70, 50, 40), Model("b", 0.72, 180, 10)], 208, Needs(min_accuracy=0.7, quality_weight=1), 0.1,
    ),
    "the better one hardly quick enough": ([Model("a", 0.8, 448), Model("b", 0.6, 100)], 208, Needs(), 0.0),
}  # fmt: skip


@pytest.mark.parametrize("case", HARD)
def test_of_no_truth_is_it_wrongly_sure_more_than_once_in_twenty(case):
    models, n, needs, margin = HARD[case]
    contests = 150
    tally = held(lambda rng: (models, n, 0.05, needs, margin), contests, seed=len(case))
    print(case, dict(tally))
    assert wilson(tally["wrong"], contests).low <= 0.05
    assert tally["wrong"] <= 0.05 * contests


CLEAR = {
    "two": ([Model("a", 0.85), Model("b", 0.65)], Needs(), 0.0, 0.8),
    "three": ([Model("a", 0.85), Model("b", 0.65), Model("c", 0.6)], Needs(), 0.0, 0.8),
    "one is too slow": ([Model("a", 0.7), Model("b", 0.85, 700)], Needs(), 0.0, 0.95),
    "one is too inaccurate": ([Model("a", 0.7, 180), Model("b", 0.5)], Needs(min_accuracy=0.6), 0.0, 0.5),
    "with prices": ([Model("a", 0.85, hourly=1.0), Model("b", 0.6, hourly=1.0)], Needs(), 0.0, 0.6),
    "equivalent, at half the price": (
        [Model("a", 0.9, hourly=1.0), Model("b", 0.9, hourly=2.0)],
        Needs(),
        0.1,
        0.8,
    ),
}


@pytest.mark.parametrize("case", CLEAR)
def test_where_differences_are_large_it_is_sure(case):
    models, needs, margin, floor = CLEAR[case]
    contests = 60
    tally = held(lambda rng: (models, 208, 0.05, needs, margin), contests, seed=len(case))
    print(case, dict(tally))
    assert tally["sure"] >= floor * contests
    assert tally["wrong"] <= 0.05 * contests
