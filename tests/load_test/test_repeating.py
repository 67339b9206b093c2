"""An operating point that most of its repeats do not confirm was luck: the next lower one is tried."""

from __future__ import annotations

import json

import pytest

from helpers.artifacts import SLO
from helpers.load_test import operating_point
from helpers.load_test.repeating import EARLIER, repeated
from helpers.load_test.running import Load
from helpers.load_test.workload import Workload
from helpers.runtime.partial import Unguarded
from tests.plugins.records import CHAT_REPEATS

from .conftest import brief
from .test_operating_point import point
from .test_report import benchmark

LIMIT = SLO(ttft_ms=100)
POINTS = (
    *(point(f"constant@{rate}", rate, 50, True).model_copy(update={"rate": float(rate)}) for rate in (1, 2, 4, 6, 8)),
    point("throughput", 9, 900, False),
)


class Repeats(Load):
    """A load test whose repeats take what the test says, by the rate."""

    taken, seeds = {}, []

    def measure(self, again=None, step=0):
        self.seeds.append(self.settings.seed)
        path = self.folder / CHAT_REPEATS.report
        assert not path.exists()
        strategy = {"type_": "constant", "rate": again.rate, "max_concurrency": 4}
        rows = [benchmark(ttft=ttft, strategy=strategy, rps=again.rate) for ttft in self.taken[again.rate]]
        path.write_text(json.dumps({"benchmarks": rows}))
        return path


def a_load(folder, repeats, say):
    settings, workload = brief(repeats=repeats, slo_ttft_ms=100, seed=7), Workload("chatbot", 32, 10)
    return Repeats(settings, None, workload, folder, say, Unguarded(), folder)


@pytest.fixture
def repeat(tmp_path):
    def run(taken, repeats=3):
        Repeats.taken, Repeats.seeds = taken, []
        said = []
        load = a_load(tmp_path, repeats, said.append)
        return repeated(load, POINTS, operating_point(POINTS, LIMIT)), said

    return run


def rates(path):
    return [each["config"]["strategy"]["rate"] for each in json.loads(path.read_bytes())["benchmarks"]]


def test_a_point_that_its_repeats_confirm_stays(repeat, tmp_path):
    found, _ = repeat({8.0: (50, 60, 70)})
    assert POINTS[found.chosen.index].rate == 8
    assert [each.ttft_ms.p95 for each in found.repeats] == [50, 60, 70]
    assert (found.not_held, found.warnings) == ((), ())
    assert "Mean of 3 repeats (8 requests/s): TTFT p95 60 ms" in found.chosen.reason
    assert rates(tmp_path / CHAT_REPEATS.report) == [8, 8, 8]


def test_one_miss_of_three_is_told_and_no_reason_to_step_down(repeat):
    found, _ = repeat({8.0: (50, 120, 70)})
    assert POINTS[found.chosen.index].rate == 8
    assert found.warnings == ("constant@8 missed the SLO in 1 of 3 repeats",)


def test_two_misses_of_three_are_and_nothing_measured_is_lost(repeat, tmp_path):
    found, said = repeat({8.0: (150, 120, 70), 6.0: (90, 80, 70)})
    assert POINTS[found.chosen.index].rate == 6
    assert [each.ttft_ms.p95 for each in found.repeats] == [90, 80, 70]
    assert [each.ttft_ms.p95 for each in found.not_held] == [150, 120, 70]
    assert "The next higher one, constant@8, met it once, and missed it in 2 of 3 repeats" in found.chosen.reason
    assert said[-1] == "most repeats missed the SLO; the next lower load, constant@6, is measured 3 times more"
    assert found.warnings == ("constant@8 missed the SLO in 2 of 3 repeats",)
    assert rates(tmp_path / CHAT_REPEATS.report) == [8, 8, 8, 6, 6, 6]
    assert not (tmp_path / EARLIER.format("chat")).exists()


def test_no_step_sends_the_prompts_of_the_one_before(repeat):
    repeat({8.0: (150,), 6.0: (150,), 4.0: (50,)}, repeats=1)
    assert len(set(Repeats.seeds)) == 3


def test_three_steps_down_are_enough(repeat, tmp_path):
    late = (150, 150, 150)
    found, _ = repeat({8.0: late, 6.0: late, 4.0: late, 2.0: late})
    assert POINTS[found.chosen.index].rate == 2
    assert not any(each.meets_slo for each in found.repeats)
    assert len(found.not_held) == 9
    assert len(rates(tmp_path / CHAT_REPEATS.report)) == 12


def test_where_no_lower_load_was_measured_the_last_one_stays_with_its_repeats(tmp_path):
    Repeats.taken = {1.0: (150, 150, 150)}
    load = a_load(tmp_path, 3, lambda _: None)
    found = repeated(load, POINTS[:1], operating_point(POINTS[:1], LIMIT))
    assert found.chosen.index == 0
    assert len(found.repeats) == 3
    assert found.not_held == ()


@pytest.mark.parametrize(
    ("ttft", "taken", "index", "reason"),
    [
        (110, (95, 96, 120), 0, "It missed TTFT p95 ≤ 100 ms by little, and met it in 2 of 3 repeats"),
        (110, (95, 106, 120), None, "Measured again, it met it in 1 of 3 repeats"),
        (200, None, None, "No measured load meets TTFT p95 ≤ 100 ms"),
    ],
)
def test_where_none_met_it_by_little_the_lowest_load_is_measured_again(tmp_path, ttft, taken, index, reason):
    Repeats.taken = {1.0: taken}
    points = tuple(
        point(f"constant@{rate}", rate, ttft * rate, False).model_copy(
            update={"rate": float(rate), "slo_attainment": 0.92 if ttft * rate < 150 else 0.5}
        )
        for rate in (1, 2)
    )
    load = a_load(tmp_path, 3, lambda _: None)
    found = repeated(load, points, operating_point(points, LIMIT))
    assert found.chosen.index == index
    assert reason in found.chosen.reason
    assert [each.ttft_ms.p95 for each in (*found.repeats, *found.not_held)] == list(taken or ())
    assert len(rates(tmp_path / CHAT_REPEATS.report)) == (3 if taken else 0)


def test_without_repeats_there_is_an_empty_report(repeat, tmp_path):
    found, _ = repeat({}, repeats=0)
    assert (POINTS[found.chosen.index].rate, found.repeats) == (8, ())
    assert json.loads((tmp_path / CHAT_REPEATS.report).read_bytes()) == {"benchmarks": []}
