"""Simulated contests between models whose true accuracy, speed and price are known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from numpy import exp, linspace
from numpy.polynomial.hermite_e import hermegauss
from scipy.optimize import brentq
from scipy.special import expit

from helpers.analysis.comparison import compare
from helpers.analysis.recommendation import Needs, PriceList, decide
from helpers.artifacts import Hardware, Percentiles, Sample
from helpers.load_test import Settings, operating_point
from helpers.load_test.repeating import stepped
from helpers.load_test.saturation import marked
from helpers.records import join
from tests.plugins.criteria import asked
from tests.plugins.records import a_selection, a_sweep, about, an_endpoint, an_evaluation

LIMIT, LOADS, REPEATS, REQUESTS = 500.0, 6, 3, 60
SPREAD = 1.5  # of the questions' difficulty, in logits: models fail on the same questions
NODES, WEIGHTS = hermegauss(40)
TEMPLATE = a_sweep(limit=LIMIT)


@dataclass(frozen=True)
class Model:
    """A model as it truly is: its latency grows as `base / (1 - load / most)`."""

    name: str
    accuracy: float
    base: float = 100.0
    most: float = 20.0
    hourly: float | None = None

    @property
    def loads(self):
        """What a sweep measures, requests/s: one request at a time, then rates up to all at once."""
        return [self.most / 20, *linspace(self.most / 10, self.most, LOADS - 1)]

    @property
    def capacity(self):
        """The highest load that truly meets the SLO."""
        return self.most * (1 - self.base / LIMIT)

    @property
    def meets_slo(self):
        return self.capacity >= self.loads[0]

    def ttft(self, load):
        """95th percentile of TTFT in ms."""
        return self.base / max(1 - load / self.most, 0.01)


@cache
def ability(accuracy):
    """The logit that answers this share of all questions correctly, whose difficulty is normal."""
    if accuracy in (0.0, 1.0):
        return math.copysign(50, accuracy - 0.5)
    share = WEIGHTS / WEIGHTS.sum()
    return brentq(lambda logit: float((share * expit(logit + SPREAD * NODES)).sum()) - accuracy, -20, 20)


def answers(models, n, rng):
    """Each model's right and wrong answers to the same n questions."""
    difficulty = rng.normal(0, SPREAD, n)
    return {model.name: rng.random(n) < expit(ability(model.accuracy) + difficulty) for model in models}


def log(right, categories=1):
    """The samples of questions with two options."""
    return [
        Sample(
            id=f"t/{number}",
            digest=f"h{number}",
            label=f"q{number}",
            category=f"c{number % categories}",
            input="?",
            options=("yes", "no"),
            expected="yes",
            output="yes" if good else "no",
            scores={"acc": float(good)},
            status="answered",
        )
        for number, good in enumerate(right)
    ]


def measured(model, load, noise, rng, *, alone=False, slower=1.0):
    """One measurement of a load, in a session in which answers take `slower` times as long."""
    load = float(load)
    p95 = float(model.ttft(load) * slower * exp(rng.normal(0, noise)))
    rate = float(min(load, 0.97 * model.most) * exp(rng.normal(0, noise / 10)))
    known = {"strategy": f"constant@{load:.3g}", "rate": load, "requests_per_second": rate, "meets_slo": p95 <= LIMIT}
    known |= {"slo_attainment": 1 - 0.05 ** (LIMIT / p95), "successful": REQUESTS}  # waits fall off exponentially
    known |= {"concurrency": 1.0 if alone else 1.5 + load * p95 / 1000}
    ttft = Percentiles(mean=p95 / 2, p50=p95 / 2, p90=p95, p95=p95, p99=p95)
    return TEMPLATE.points[0].model_copy(update=known | {"ttft_ms": ttft, "output_tokens_per_second": 32 * rate})


def swept(model, noise, rng, session=0.0):
    """A sweep with its repeats, in a session of its own; `session` is the deviation between sessions."""
    slower = float(exp(rng.normal(0, session))) if session else 1.0
    points = marked(
        [measured(model, load, noise, rng, alone=not place, slower=slower) for place, load in enumerate(model.loads)]
    )
    chosen = operating_point(points, TEMPLATE.slo)

    def again(point, step):
        return tuple(measured(model, point.rate, noise, rng, slower=slower) for _ in range(REPEATS)), ()

    found = stepped(points, chosen, Settings(slo_ttft_ms=LIMIT), again)
    known = {"operating_point": found.chosen, "repeats": found.repeats, "not_held": found.not_held}
    return TEMPLATE.model_copy(update={"points": points, **known})


def contest(models, n, noise, rng, criteria=None, margin=0.0, categories=1, chance=0.0, session=0.0, sessions=1):
    """Measure, compare and decide: (the comparison, the decision, each model's sweep). Guessing scores `chance`.

    Each server is started `sessions` times, and `session` is what a start changes (deviation of the logarithm).
    """
    found, samples, sweeps = [], {}, {}
    for name, right in answers(models, n, rng).items():
        (model,) = [each for each in models if each.name == name]
        rows = log(right, categories)
        selection = a_selection(name, "1")
        endpoint = an_endpoint(selection, hardware=Hardware(type=name, count=1))
        evaluation = an_evaluation(rows).model_copy(update={"chance": chance})
        for started in range(sessions):
            sweep = swept(model, noise, rng, session)
            times = {time: getattr(sweep, time) - timedelta(hours=started) for time in ("started", "ended")}
            sweep = sweep.model_copy(update=times | {"identity": name})
            sweeps.setdefault(name, sweep)
            both = about(selection, sweep), about(selection, evaluation)
            record = join(selection, endpoint, both, purpose="use-case", use_case="u")
            samples[record.record_id] = rows
            found.append(record)
    comparison = compare(found, samples, margin)
    prices = PriceList(
        date="2026-11-01", source="s", currency="EUR", per_hour={each.name: each.hourly for each in models}
    )
    return comparison, decide(comparison, criteria or asked(), Needs(), prices), sweeps
