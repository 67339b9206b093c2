from __future__ import annotations

import json

import pytest

from helpers.artifacts import SLO, LoadPoint, LoadTest, OperatingPoint, Percentiles, now
from helpers.reporting.plots import style
from helpers.reporting.plots import sweep as plots


def point(name, rps, ttft, **changes):
    spread = Percentiles(mean=ttft, p50=ttft, p90=ttft * 2, p95=ttft * 3, p99=ttft * 4) if ttft else None
    values = {
        "strategy": name,
        "rate": None,
        "concurrency": 2,
        "duration_seconds": 8,
        "successful": 40 if ttft else 0,
        "errored": 0,
        "incomplete": 3,
        "requests_per_second": rps,
        "output_tokens_per_second": rps * 16,
        "ttft_ms": spread,
        "itl_ms": spread,
        "e2e_ms": spread,
        "tps": None,
        "mean_input_tokens": 64,
        "mean_output_tokens": 16,
        "meets_slo": bool(ttft) and ttft < 30,
    }
    return LoadPoint(**{**values, **changes})


@pytest.fixture
def make():
    def sweep(chosen=1, **limits):
        points = (
            point("synchronous", 2, 20),
            point("constant@5", 5, 25, rate=5.0),
            point("throughput", 0, None, errored=7),
        )
        return LoadTest(
            name="chat",
            profile="sweep",
            workload="chatbot",
            prompt_tokens=64,
            output_tokens=16,
            slo=SLO(**{"ttft_ms": 90, **limits}),
            points=points,
            operating_point=OperatingPoint(index=chosen, reason="because"),
            prefix_cache=None,
            report="guidellm.json",
            started=now(),
            ended=now(),
            versions={},
            settings={},
        )

    return sweep


def test_each_limited_latency_gets_a_panel_with_its_limit_and_the_operating_point(make):
    panels = plots.latency_vs_throughput(make(e2e_ms=400)).axes
    assert [p.get_title(loc="left") for p in panels] == ["Time to first token", "Time between tokens", "Whole request"]
    assert all("per second" in p.get_xlabel() and p.get_ylabel() == "Milliseconds" for p in panels)
    lines = {line.get_label(): line.get_xydata().tolist() for line in panels[0].lines}
    assert lines["p95"] == [[2, 60], [5, 75]]
    assert lines["operating point"] == [[5, 75]]
    assert lines["SLO on p95"][0][1] == 90
    assert "SLO on p95" not in [line.get_label() for line in panels[1].lines]


def test_without_an_operating_point_none_is_drawn(make):
    axes = plots.latency_vs_throughput(make(chosen=None)).axes[0]
    assert "operating point" not in [line.get_label() for line in axes.lines]


def test_every_request_of_the_chosen_strategy_is_a_dot(tmp_path):
    def request(start, seconds, first):
        times = {"request_start_time": 100 + start, "request_end_time": 100 + start + seconds}
        return {**times, "request_latency": seconds, "time_to_first_token_ms": first}

    requests = {
        "successful": [request(0, 0.2, 50), request(1, 0.3, 60)],
        "errored": [],
        "incomplete": [request(2, 0.1, None)],
    }
    benchmark = {"config": {"strategy": {"type_": "synchronous"}}, "start_time": 100, "requests": requests}
    report = tmp_path / "guidellm.json"
    report.write_text(json.dumps({"benchmarks": [{}, benchmark]}))
    axes = plots.requests_over_time(report, 1).axes[0]
    dots = {c.get_label(): [[round(v, 3) for v in dot] for dot in c.get_offsets().tolist()] for c in axes.collections}
    assert dots["whole request"] == [[0, 200], [1, 300]]
    assert dots["until the first token"] == [[0, 50], [1, 60]]
    assert dots["cut off when time was over"] == [[2, 100]]
    assert "synchronous" in axes.get_title(loc="left")


def test_failures_are_counted_beside_successes(make):
    axes = plots.request_counts(make()).axes[0]
    assert [t.get_text() for t in axes.texts] == [
        "40 answered, 3 cut off",
        "40 answered, 3 cut off",
        "7 failed, 3 cut off",
    ]


def test_the_table_marks_the_operating_point_and_leaves_gaps_open(make):
    table = plots.points_table(make())
    assert list(table.index) == ["synchronous", "→ constant@5", "throughput"]
    assert table.loc["throughput", "TTFT p95"] == "-"
    assert table.loc["→ constant@5", "meets SLO"] == "yes"


def test_figures_are_not_left_with_pyplot(make):
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    plots.request_counts(make())
    plots.latency_vs_throughput(make())
    assert pyplot.get_fignums() == before


def test_a_label_has_one_colour_whatever_the_order():
    assert style.colour("b", ["a", "b", "c"]) == style.colour("b", ["c", "b", "a", "b"])
    assert len({style.colour(name, "abcdefg") for name in "abcdefg"}) == 7


def test_the_noise_is_shown_beside_what_was_swept(make):
    sweep = make()
    again = [point("constant@5", rps, ttft, rate=5.0) for rps, ttft in ((4.9, 24), (5.0, 26), (4.8, 28))]
    table = plots.repeats_table(sweep.model_copy(update={"repeats": tuple(again)}))
    row = table.loc["TTFT p95 (ms)"]
    assert (row["swept"], row["repeat 1"], row["repeat 3"]) == ("75", "72", "84")
    assert row["95% interval of the mean"] == "63.1 to 92.9"
    assert table.loc["goodput (requests/s)", "95% interval of the mean"] == "n/a"
    assert plots.repeats_table(sweep) is None


def test_an_interval_does_not_reach_where_the_figure_cannot_be(make):
    sweep = make()
    again = [point("constant@5", 5, ttft, rate=5.0, slo_attainment=met) for ttft, met in ((5, 1), (30, 0.9), (900, 1))]
    column = plots.repeats_table(sweep.model_copy(update={"repeats": tuple(again)}))["95% interval of the mean"]
    assert column["TTFT p95 (ms)"].startswith("0 to ")
    assert column["share within the SLO"].endswith(" to 1")
    assert "e+" not in " ".join(column)


def test_what_is_saturated_or_limited_is_marked_in_table_and_figure(make):
    sweep = make()
    marked = sweep.points[0].model_copy(update={"limited_by_load_generator": True})
    full = point("throughput", 9, 29, saturated=True)
    sweep = sweep.model_copy(update={"points": (marked, sweep.points[1], full)})
    notes = list(plots.points_table(sweep)["note"])
    assert notes == ["limited by the load generator", "", "saturated"]
    figure = plots.latency_vs_throughput(sweep)
    told = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"saturated", "limited by the load generator"} <= set(told)
    assert "saturated" not in [text.get_text() for text in plots.latency_vs_throughput(make()).legends[0].get_texts()]
