"""How often a verdict is wrong where the truth is known: this project's, lm-eval's two-sample z, the higher score's.

The two others know no must-have, latency or cost: they take the model with the higher score, the one where
|difference| / sqrt(stderr² + stderr²) is above 1.96 (lm-eval's model comparator), the other always.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from numpy import where
from numpy.random import Generator, default_rng

from helpers.statistics import compare, difference_interval, last_of
from tests.analysis.test_simulated_decisions import HARD, any_contest, mistake, slower_everywhere
from tests.analysis.test_simulated_truth import LOOKS, clustered_contests
from tests.plugins.contests import contest

CONTESTS, DECISIONS = 1000, 100
Z = 1.959964
Row = dict[str, object]


def measure() -> list[Row]:
    """Return one row for each regime: the share of contests in which each rule was wrong, or right where it says so."""
    return [
        *independent("208 independent questions, equal models: called different", 0.0),
        *independent("208 independent questions, 10 points apart: called better", 0.1),
        *in_clusters("200 questions in 10 topics, equal models: called different", 10, 20, 0.8),
        *in_clusters("217 questions in 31 topics, equal models: called different", 31, 7, 0.8),
        *coverage(),
        *looks("equal models, looked at after 50, 100, 200 … 600 questions until sure: called different"),
        *decisions("any two to five models: sure and wrong", any_contest),
        *decisions("the same, each start of a server 20 % apart: sure and wrong", any_contest, session=0.2),
        *decisions("slower at every load, equally accurate: sure and wrong", slower_everywhere),
        *(row for name, case in HARD.items() for row in decisions(f"{name}: sure and wrong", _always(*case))),
    ]


def _row(regime: str, contests: int, assay: float, z: float | None, higher: float | None) -> Row:
    shown = {"assay": assay, "two_sample_z": z, "higher_score": higher}
    rounded = {name: None if value is None else round(value, 3) for name, value in shown.items()}
    return {"figure": "truth", "regime": regime, "contests": contests, **rounded}


def _z(first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether the two-sample test of two means calls the two different."""
    means = [sum(each) / len(each) for each in (first, second)]
    spread = sum(mean * (1 - mean) / (len(each) - 1) for mean, each in zip(means, (first, second), strict=True))
    return spread > 0 and abs(means[0] - means[1]) / math.sqrt(spread) > Z


def independent(regime: str, apart: float) -> Iterator[Row]:
    """Two models on the same questions: their answers go together, as both find the same ones hard."""
    rng, n, shared = default_rng(1), 208, 0.63
    called = [0, 0, 0]
    for _ in range(CONTESTS):
        alike = rng.random(n) < shared
        mine, theirs = rng.random(n) < 0.6 + apart / 2 / (1 - shared), rng.random(n) < 0.6 - apart / 2 / (1 - shared)
        first, second = ([float(a if same else b) for same, a, b in zip(alike, mine, each, strict=True)]
                         for each in (mine, theirs))  # fmt: skip
        better = sum(first) > sum(second) or not apart
        called[0] += compare(first, second).p_value < 0.05 and better
        called[1] += _z(first, second) and better
        called[2] += sum(first) != sum(second) and better
    yield _row(regime, CONTESTS, *(count / CONTESTS for count in called))


def in_clusters(regime: str, clusters: int, size: int, shared: float) -> Iterator[Row]:
    """Equal models that know some topics better than others."""
    differences, names = clustered_contests(clusters, size, shared, seed=clusters, count=CONTESTS)
    called = [0, 0, 0]
    for row in differences:
        n = len(row)
        # The z-test sees the scores alone; half of the agreeing questions are taken as right.
        agree = n - int((row != 0).sum())
        first = [1.0] * (int((row > 0).sum()) + agree // 2)
        second = [1.0] * (int((row < 0).sum()) + agree // 2)
        pair = compare([max(each, 0.0) for each in row.tolist()], [max(-each, 0.0) for each in row.tolist()],
                       clusters=names)  # fmt: skip
        called[0] += pair.p_value < 0.05
        called[1] += _z(first + [0.0] * (n - len(first)), second + [0.0] * (n - len(second)))
        called[2] += len(first) != len(second)
    yield _row(regime, CONTESTS, *(count / CONTESTS for count in called))


def coverage() -> Iterator[Row]:
    """How often the interval of the difference holds the truth, against that of two independent shares."""
    rng, n, held = default_rng(3), 208, [0, 0]
    only_first, only_second = 0.31, 0.06
    for _ in range(CONTESTS):
        b, c, both = (int(count) for count in rng.multinomial(n, [only_first, only_second, 0.4, 0.23])[:3])
        truth, seen = only_first - only_second, (b - c) / n
        bounds = difference_interval(b, c, n)
        held[0] += bounds.low <= truth <= bounds.high
        shares = [(both + b) / n, (both + c) / n]
        half = Z * math.sqrt(sum(share * (1 - share) / (n - 1) for share in shares))
        held[1] += abs(seen - truth) <= half
    yield _row("95% interval of a difference: holds the truth", CONTESTS, *(count / CONTESTS for count in held), None)


def _always(models: Any, n: int, criteria: Any, margin: float) -> Callable[[Generator], tuple[Any, ...]]:
    return lambda _: (models, n, 0.05, criteria, margin)


def looks(regime: str) -> Iterator[Row]:
    """Equal models, compared each time that questions were added, until they are called different."""
    rng, called = default_rng(9), [0, 0, 0]
    for _ in range(CONTESTS):
        alike, both, *own = (rng.random(LOOKS[-1]) < share for share in (0.4, 0.6, 0.6, 0.6))
        first, second = (where(alike, both, mine).astype(float).tolist() for mine in own)
        called[0] += any(
            compare(first[:n], second[:n], looks=last_of(LOOKS[:number])).p_value < 0.05
            for number, n in enumerate(LOOKS, 1)
        )
        called[1] += any(_z(first[:n], second[:n]) for n in LOOKS)
        called[2] += any(sum(first[:n]) != sum(second[:n]) for n in LOOKS)
    yield _row(regime, CONTESTS, *(count / CONTESTS for count in called))


def decisions(regime: str, draw: Callable[[Generator], tuple[Any, ...]], session: float = 0.0) -> Iterator[Row]:
    """Which model each rule takes, and whether one is truly better that meets all must-haves."""
    rng, wrong = default_rng(5), [0, 0, 0]
    for _ in range(DECISIONS):
        models, n, noise, criteria, margin = draw(rng)
        comparison, decision, sweeps = contest(models, n, noise, rng, criteria, margin, session=session)
        best, *others = comparison.standings
        scores = {row.label: [1.0] * round(row.accuracy * n) + [0.0] * (n - round(row.accuracy * n))
                  for row in comparison.standings}  # fmt: skip
        placed = [row for row in comparison.standings if row.requests_per_second]
        load = decision.common_load or min((row.requests_per_second or 0.0 for row in placed), default=0.0)
        taken = [
            decision.recommended if decision.sure else None,
            best.label if all(_z(scores[best.label], scores[row.label]) for row in others) else None,
            best.label,
        ]
        for place, label in enumerate(taken):
            if label:
                kept = [option for option in decision.options if option.label == label]
                chosen = SimpleNamespace(recommended=label, common_load=load, options=kept)
                wrong[place] += bool(mistake(models, chosen, sweeps, criteria, margin, 0.0))
    yield _row(regime, DECISIONS, *(count / DECISIONS for count in wrong))
