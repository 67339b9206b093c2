"""The comparison's plots: everything measured is drawn and named, also where there is little to draw."""

from __future__ import annotations

import io

import matplotlib
import pytest
from matplotlib.text import Text

from helpers.analysis.comparison import compare
from helpers.reporting.plots import comparison as plots
from helpers.reporting.plots import evaluation
from tests.plugins.records import a_record, a_sweep, some_samples, write_samples

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def measured():
    logs = {"ops-small": some_samples(0.52), "ops-large": some_samples(0.78, seed=2)}
    records = [a_record(name, samples=log, slowness=1 + place) for place, (name, log) in enumerate(logs.items())]
    return records, compare(records, {record.record_id: logs[record.selection.name] for record in records})


def drawn(figure):
    """Draw the figure for real and return all its text."""
    figure.savefig(io.BytesIO(), dpi=40)
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def test_the_name_of_a_limit_stays_below_the_title():
    limit = 1.1 * max(point.ttft_ms.p95 for point in a_sweep().points)
    figure = plots.throughput_curves([a_record(sweep=a_sweep(limit=limit))])
    drawn(figure)
    [axes] = figure.axes
    [name] = [text for text in axes.texts if f"{limit:g}" in text.get_text()]
    assert name.get_window_extent().y1 < axes.get_window_extent().y1


def test_accuracy_against_latency_names_each_version_with_its_interval(measured):
    _, comparison = measured
    text = drawn(plots.accuracy_vs_latency(comparison))
    for row in comparison.standings:
        assert f"{row.label}\n{row.accuracy:.2f} ({row.interval.low:.2f} to {row.interval.high:.2f})" in text
    assert "(ms)" in text
    assert "n = 160" in text


@pytest.mark.parametrize(("against", "unit"), [("requests", "requests/s"), ("tokens", "output tokens/s")])
def test_all_versions_and_the_slo_stand_in_one_plot(measured, against, unit):
    records, _ = measured
    figure = plots.throughput_curves(records, against)
    text = drawn(figure)
    assert {"ops-small 1.0", "ops-large 1.0"} <= set(text.splitlines())
    assert unit in text
    assert "SLO 100 ms" in text
    lines = [line for line in figure.axes[0].get_lines() if len(line.get_xdata()) > 2]
    assert [len(line.get_xdata()) for line in lines] == [len(record.sweep.points) for record in records]


def test_a_version_has_the_same_colour_in_every_plot(measured):
    records, comparison = measured

    def colours(figure):
        return {
            text.get_text().split("\n")[0]: text.get_color()
            for text in figure.findobj(Text)
            if text.get_text().startswith("ops-")
        }

    curves, scatter = plots.throughput_curves(records), plots.accuracy_vs_latency(comparison)
    assert colours(curves) == {name: shade for name, shade in colours(scatter).items() if name in colours(curves)}
    assert len(set(colours(curves).values())) == 2


def test_flips_show_both_directions_also_when_not_all_fit(measured):
    _, comparison = measured
    text = drawn(plots.flips(comparison, most=6))
    assert f"(6 of {len(comparison.flips)})" in text
    table = plots.flips_table(comparison)
    assert len(table) == len(comparison.flips)
    first = [answer.startswith("\u2713") for answer in table["ops-large 1.0"]]
    assert any(first)
    assert not all(first)
    assert text.count("\u2713") == text.count("\u2717") == 6


def test_versions_that_never_differ_give_an_empty_table_not_an_error(measured):
    log = some_samples(0.5)
    records = [a_record("a", samples=log), a_record("b", samples=log)]
    comparison = compare(records, {record.record_id: log for record in records})
    assert "right on 0 of 0" in drawn(plots.flips(comparison))
    assert plots.flips_table(comparison).empty


def test_a_version_without_an_operating_point_is_named_and_not_placed(measured):
    log = some_samples(0.5)
    record = a_record(samples=log, sweep=a_sweep(none_meets=True))
    comparison = compare([record], {record.record_id: log})
    assert "No load met the SLO: ops-small 1.0" in drawn(plots.accuracy_vs_latency(comparison))
    row = plots.standings_table(comparison).loc["ops-small 1.0"]
    assert row["TTFT p95 (ms) at that load"] == row["requests/s"] == "\u2013"
    assert "95% interval" in row


def test_accuracy_by_category_has_every_category_with_its_n(measured, tmp_path):
    measured_once = measured[0][0].evaluation.model_copy(update={"chance": 0.25})
    write_samples(some_samples(0.52), tmp_path / measured_once.samples)
    text = drawn(evaluation.accuracy_by_category(measured_once, tmp_path))
    for part in measured[1].standings[0].categories:
        assert f"{part.name} (n = {part.n})" in text
    assert "all questions (n = 160)" in text
    assert "guessing 0.25" in text


def test_every_category_has_a_mark_for_each_version_and_a_star_where_they_differ(measured):
    _, comparison = measured
    figure = plots.categories(comparison)
    text = drawn(figure)
    (pair,) = comparison.pairs
    assert {row.label for row in comparison.standings} <= set(text.splitlines())
    for name, part in pair.categories.items():
        assert (f"{name} *" in text) is (part.verdict in ("better", "worse"))
        assert name in text


def test_the_table_of_pairs_says_the_difference_with_its_interval_and_what_would_have_been_shown(measured):
    _, comparison = measured
    (row,) = plots.pairs_table(comparison).to_dict("records")
    paired = comparison.pairs[0].paired
    assert row["difference"] == f"{paired.difference:+.3f}"
    assert (row["result"], paired.verdict) == ("more accurate", "better")
    assert row["test"] == paired.test == "exact McNemar"
    assert row["interval"] == f"{paired.interval.low:+.3f} to {paired.interval.high:+.3f}"
    assert row["can show from"] == f"{paired.detectable:.3f}"
