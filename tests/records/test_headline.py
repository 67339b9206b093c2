"""One headline of a load test, whoever reads it: the mean of the repeats, never the measurement that was chosen."""

from __future__ import annotations

import matplotlib
import pytest

from helpers.analysis.comparison import compare
from helpers.analysis.gate.judging import judge
from helpers.artifacts import LoadPoint, LoadTest
from helpers.artifacts.speed import figures
from helpers.datasets.criteria import LATENCY, Criteria
from helpers.local.run import _entry as entry_of_the_run
from helpers.records import decide, summaries
from helpers.records.catalog import performance_rows
from helpers.registry.documents import Version
from helpers.registry.records import BASELINE
from helpers.registry.shortlist import Constraints, shortlist
from helpers.reporting.plots.curves import latency_vs_throughput
from helpers.reporting.plots.sweep import repeats_table
from helpers.reporting.plots.throughput import throughput_curves
from tests.plugins.criteria import thresholds
from tests.plugins.records import a_record, a_sweep, some_samples

matplotlib.use("Agg")
SWEPT, REPEATED, LIMIT = 87.0, (96.0, 99.0, 104.0), 95.0
MEAN = sum(REPEATED) / 3


def with_ttft(point, p95):
    return point.model_copy(update={"ttft_ms": point.ttft_ms.model_copy(update={"p95": p95})})


def lucky():
    """A sweep whose one measurement at the operating point lies within the limit, and all of its repeats above it."""
    made = a_sweep()
    index = made.operating_point.index
    points = [with_ttft(p, SWEPT) if number == index else p for number, p in enumerate(made.points)]
    again = tuple(
        with_ttft(made.chosen, p95).model_copy(update={"requests_per_second": made.chosen.requests_per_second - place})
        for place, p95 in enumerate(REPEATED)
    )
    return made.model_copy(update={"points": tuple(points), "repeats": again})


@pytest.fixture(scope="module")
def record():
    return a_record(sweep=lucky(), purpose="baseline")


def registered(record):
    parts = summaries(record).items()
    flat = {f"{BASELINE}{part}.{name}": value for part, figures in parts for name, value in figures.items()}
    return Version(
        name="ops-small",
        version="1.0",
        registered_model_id="1",
        model_version_id="2",
        archived=False,
        properties={**flat, "approval": "approved", "license": "apache-2.0"},
    )


def rings(figure):
    """What is drawn as an open circle: the operating point."""
    marked = [line for axes in figure.axes for line in axes.get_lines() if line.get_marker() == "o"]
    return [float(line.get_ydata()[0]) for line in marked if line.get_markerfacecolor() == "none"]


USERS = {
    "summary": lambda record: summaries(record)["chat"]["ttft_p95_ms"],
    "shortlist": lambda record: shortlist([registered(record)], Constraints(), {})[0].ttft_p95_ms,
    "catalog": lambda record: performance_rows(record)[0]["ttft_p95"],
    "comparison": lambda record: compare([record], {record.record_id: some_samples(0.52)}).standings[0].ttft_p95_ms,
    "summary of a run": lambda record: entry_of_the_run(record, "")["operating_point"]["ttft_p95_ms"],
    "curves": lambda record: rings(latency_vs_throughput(record.sweep))[0],
    "curves of all": lambda record: rings(throughput_curves([record]))[0],
}


@pytest.mark.parametrize("user", USERS)
def test_every_user_has_the_same_number(user, record):
    assert USERS[user](record) == pytest.approx(MEAN)


def test_the_table_of_repeats_shows_it_too(record):
    assert float(repeats_table(record.sweep).loc["TTFT p95 (ms)", "mean"]) == pytest.approx(MEAN, rel=0.01)


def test_the_gate_holds_the_same_numbers_against_each_other(record):
    same_load = a_sweep().chosen.model_copy(update={"requests_per_second": record.sweep.headline.requests_per_second})
    other = a_record(sweep=a_sweep().model_copy(update={"repeats": (same_load,) * 2}))
    criteria = Criteria.model_validate({LATENCY: {"tolerance": "10%"}})
    _, check = judge(record, other, ({}, {}), criteria).checks
    assert f"{MEAN:.4g} against {other.sweep.headline.ttft_ms.p95:.4g}" in check.seen


def test_a_lucky_measurement_approves_nothing(record):
    assert decide(record, thresholds(ttft_p95_ms=f"<= {LIMIT}")).state == "rejected"
    assert decide(record, thresholds(ttft_p95_ms=f"<= {MEAN + 1}")).state == "approved"


def test_without_repeats_it_is_the_one_measurement_and_without_an_operating_point_there_is_none():
    made = a_sweep()
    assert figures(made.headline) == pytest.approx(figures(made.chosen))
    assert (made.headline.n, made.headline.spread) == (1, {})
    assert a_sweep(none_meets=True).headline is None


def test_it_says_how_far_its_measurements_lie_apart():
    found = lucky().headline
    assert found.n == 3
    assert found.spread["ttft_p95_ms"] == pytest.approx(4.0415, abs=1e-3)
    assert found.spread["itl_p95_ms"] == pytest.approx(0, abs=1e-9)


def test_what_one_repeat_lacks_is_not_known():
    made = lucky()
    silent = made.repeats[0].model_copy(update={"ttft_ms": None})
    found = made.model_copy(update={"repeats": (silent, *made.repeats[1:])}).headline
    assert found.ttft_ms is None
    assert "ttft_p95_ms" not in found.spread
    assert found.requests_per_second == pytest.approx(made.headline.requests_per_second)


def test_sweeps_of_before_say_nothing_of_what_ended_their_loads():
    old = a_sweep().model_dump(mode="json")
    for point in old["points"]:
        del point["ended_by"], point["enough"]
    points: tuple[LoadPoint, ...] = LoadTest.model_validate(old).points
    assert {(point.ended_by, point.enough) for point in points} == {("time", True)}
