"""With more versions than a figure can hold, it shows those that matter and says how many there are."""

from __future__ import annotations

import io
import json

import matplotlib
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from helpers.analysis.comparison import MOST, Comparison, compare
from helpers.analysis.comparison.requests import FirstTokens
from helpers.analysis.recommendation import Needs, decide, load_prices
from helpers.reporting.plots import comparison as plots
from helpers.reporting.plots import labels, style
from helpers.statistics import adjusted
from tests.plugins.criteria import asked
from tests.plugins.models import PRICES
from tests.plugins.records import a_record, a_sweep, renamed, some_samples

matplotlib.use("Agg")
VERSIONS = 40


@pytest.fixture(scope="module")
def many():
    records, logs = [], {}
    for place in range(VERSIONS):
        log = some_samples(0.3 + 0.6 * place / VERSIONS, seed=place)
        records.append(a_record(f"model-{place:02}", samples=log, sweep=a_sweep(0.6 + place * 7 % 11)))
        logs[records[-1].record_id] = log
    comparison = compare(records, logs)
    decision = decide(comparison, asked(), Needs(), load_prices(PRICES))
    return [record for record in records if record.selection.label in decision.shown], comparison, decision


def texts(figure):
    figure.savefig(io.BytesIO(), dpi=40)
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def named(figure):
    return {word for word in texts(figure).split() if word.startswith("model-")}


def waits(records):
    return FirstTokens(runs={record.selection.label: ((20.0, 30.0, 90.0),) for record in records})


def test_every_figure_names_the_same_dozen(many):
    records, comparison, decision = many
    shown = {label.split()[0] for label in decision.shown}
    assert len(shown) == MOST
    assert decision.recommended in decision.shown
    assert comparison.standings[0].label in decision.shown
    told = {row.name for row in comparison.standings if row.ttft_p95_ms is None}
    assert named(plots.accuracy_vs_latency(comparison, decision=decision)) - told <= shown
    assert named(plots.throughput_curves(records)) == shown
    assert named(plots.distributions(waits(records), comparison, decision.shown)) == shown
    assert named(plots.categories(comparison, decision.shown)) == shown
    assert named(plots.weights(decision)) <= shown


def test_all_are_in_the_headline_figure_as_dots(many):
    _, comparison, decision = many
    axes = plots.accuracy_vs_latency(comparison, decision=decision).axes[0]
    [others] = [line for line in axes.get_lines() if line.get_label() == "others"]
    placed = [row for row in comparison.standings if row.ttft_p95_ms is not None]
    assert len(others.get_xdata()) == len([row for row in placed if row.label not in decision.shown])


def test_a_version_has_the_same_colour_and_shape_in_every_figure(many):
    records, comparison, decision = many
    looks = style.looks(decision.shown)
    figures = {
        "headline": plots.accuracy_vs_latency(comparison, decision=decision),
        "curves": plots.throughput_curves(records),
        "weights": plots.weights(decision),
    }
    for figure in figures.values():
        for text in figure.findobj(Text):
            if (label := text.get_text().split("\n")[0]) in looks:
                assert to_hex(text.get_color()) == looks[label].ink.lower()
    used = {(to_hex(line.get_color()), line.get_marker()) for line in figures["curves"].axes[0].get_lines()}
    assert {(look.colour.lower(), look.marker) for look in looks.values()} <= used


def test_no_two_of_a_dozen_look_alike():
    looks = style.looks(f"model-{number}" for number in range(MOST))
    assert len({(look.colour, look.marker) for look in looks.values()}) == MOST
    assert len({look.marker for look in looks.values()}) == MOST


def test_text_has_enough_contrast_on_white():
    for ink in (*style.INKS, style.LIMIT, style.INK):
        channels = [int(ink[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        luminance = sum(share * c for share, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
        assert 1.05 / (luminance + 0.05) >= 4.5, ink


def test_sentences_count_where_they_cannot_list(many):
    _, comparison, decision = many
    assert comparison.verdict.count("model-") <= MOST + 6
    assert "versions" in comparison.verdict
    assert decision.sentence.count("model-") <= MOST + 1
    assert all(row.verdict.count("model-") <= 2 * MOST for row in comparison.standings)
    assert len(comparison.certainty) <= 2 * MOST + 1


def test_all_pairs_are_one_family_and_all_are_kept(many, tmp_path):
    _, comparison, _ = many
    assert len(comparison.pairs) == VERSIONS * (VERSIONS - 1) // 2
    again = adjusted([pair.paired for pair in comparison.pairs])
    assert [pair.paired.p_adjusted for pair in comparison.pairs] == [each.p_adjusted for each in again]
    best = comparison.standings[0].label
    assert all((pair.first == best) == bool(pair.sentence) == bool(pair.categories) for pair in comparison.pairs)
    comparison.write(tmp_path)
    assert Comparison.read(tmp_path) == comparison
    assert len(json.loads((tmp_path / "comparison.json").read_text())["pairs"]) == len(comparison.pairs)


def test_the_table_of_pairs_is_about_the_recommended_one(many):
    _, comparison, decision = many
    table = plots.pairs_table(comparison, decision.recommended, decision.shown)
    assert len(table) == MOST - 1
    assert all(decision.recommended in name for name in table.index)
    assert len(plots.standings_table(comparison, decision.shown)) == len(plots.decision_table(decision)) == MOST


def test_questions_that_differ_are_few_columns_wide(many):
    _, comparison, decision = many
    assert len(plots.flips_table(comparison, decision.shown).columns) == 3 + 4
    assert plots.flips(comparison, shown=decision.shown).get_size_inches()[0] < 15


def test_labels_keep_their_distance_and_their_order():
    places = labels.apart([0.9, 0.91, 0.2, 0.92], 0.1)
    assert sorted(range(4), key=places.__getitem__) == [2, 0, 1, 3]
    assert all(b - a >= 0.0999 for a, b in zip(sorted(places), sorted(places)[1:], strict=False))
    assert max(places) <= 1
    assert places[2] == 0.2
    assert labels.apart([], 0.1) == []


def test_a_long_name_keeps_both_its_ends():
    label = "organisation--family-70B-instruct-quantized-w4a16 1.0.3"
    assert len(style.short(label)) <= 34
    assert style.short(label).startswith("organisation")
    assert style.short(label).endswith("w4a16 1.0.3")
    assert style.short(f"{label} (unverified)") == f"{style.short(label)} (unverified)"
    assert style.short("acme-chat-small 2026-11-29 (unverified)") == "acme-chat-small 2026-11-29 (unverified)"


def test_a_dollar_sign_is_a_dollar_sign():
    log = some_samples(0.5)
    record = renamed(a_record("m", samples=log), "m$\\frac{$")
    comparison = compare([record], {record.record_id: log})
    assert "m$\\frac{$ 1.0" in texts(plots.accuracy_vs_latency(comparison))
    texts(plots.distributions(waits([record]), comparison))
    texts(plots.throughput_curves([record]))
