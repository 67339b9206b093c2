"""All measurements of several versions: one table, one family of tests for each tier, like held against like."""

from __future__ import annotations

import matplotlib
import pytest

from helpers.analysis.comparison import by_evaluation, compare, narrowed, tiers
from helpers.artifacts import Hardware, Metric
from helpers.evaluation.samples import read_answers
from helpers.records import join
from helpers.reporting.plots.pyramid import pyramid
from helpers.reporting.plots.tiers import STAR, tiers_table, workloads
from helpers.statistics.proportion import wilson
from tests.plugins.records import (
    a_sample,
    a_selection,
    a_sweep,
    about,
    an_endpoint,
    an_evaluation,
    questions,
    some_samples,
)
from tests.plugins.stored import repeated

matplotlib.use("Agg")
LOGS = {}


def slowed(sweep, factor):
    """The sweep with the times to first token of its repeats so many times as long."""

    def slow(point):
        longer = {name: value * factor for name, value in point.ttft_ms.model_dump().items()}
        return point.model_copy(update={"ttft_ms": point.ttft_ms.model_copy(update=longer)})

    return sweep.model_copy(update={"repeats": tuple(map(slow, sweep.repeats))})


def a_version(name, facts, sums=None, slowness=1.0, **changes):
    """A record with two load tests and one or two evaluations; `facts` and `sums` are shares of right answers."""
    selection = a_selection(name)
    chat, rag = (slowed(repeated(a_sweep()), slowness * factor) for factor in (1.0, 1.5))
    found = [chat, rag.model_copy(update={"name": "rag", "workload": "rag"})]
    for task, share in (("facts", facts), ("sums", sums)):
        if share is not None:
            log = some_samples(share, task=task)
            scored = an_evaluation(log, task=task).model_copy(update={"name": task, "samples": f"{task}.samples.jsonl"})
            found.append(scored.model_copy(update=changes if task == "facts" else {}))
            LOGS[name, task] = log
    measured = [about(selection, each) for each in found]
    return join(selection, an_endpoint(selection), measured, purpose="use-case", use_case="ops")


def read(record, evaluation):
    return read_answers(LOGS[record.selection.name, evaluation.name], evaluation.metric)


def rows(*records):
    return {(row.name, row.metric): row for row in tiers(records, read)}


def test_every_figure_of_every_measurement_has_a_row_speed_first():
    found = tiers([a_version("a", 0.5, 0.5), a_version("b", 0.6, 0.6)], read)
    assert [row.tier for row in found] == ["performance"] * 6 + ["accuracy"] * 2
    assert {row.name for row in found} == {"chat", "rag", "facts", "sums"}
    assert all(cell.value is not None for row in found for cell in row.cells)


def test_repeats_that_differ_much_leave_no_speed_below_zero():
    record = a_version("a", 0.5)
    chat = record.load_tests[0]
    quick, slow = (slowed(chat, factor).repeats[0] for factor in (0.1, 10))
    wild = chat.model_copy(update={"repeats": (quick, slow)})
    record = record.model_copy(update={"measurements": (wild, *record.measurements[1:])})
    interval = rows(record)["chat", "ttft_p95_ms"].cells[0].interval
    assert 0 < interval.low < quick.ttft_ms.p95
    assert interval.high > slow.ttft_ms.p95


def test_a_version_that_is_better_by_far_has_the_star_and_one_that_may_be_has_not():
    found = rows(a_version("a", 0.9, 0.5), a_version("b", 0.4, 0.52, slowness=4))
    assert found["facts", "acc"].best == ("a 1.0",)
    assert found["sums", "acc"].best == ()
    assert found["chat", "ttft_p95_ms"].best == ("a 1.0",)


def test_speeds_on_other_hardware_are_shown_and_none_has_the_star():
    quick, slow = a_version("a", 0.5), a_version("b", 0.5, slowness=2)
    other = slow.endpoint.model_copy(update={"hardware": Hardware(type="L40S", count=1)})
    row = rows(quick, slow.model_copy(update={"endpoint": other}))["chat", "ttft_p95_ms"]
    assert all(cell.value is not None for cell in row.cells)
    assert row.best == ()


def marked(name, evaluations, right):
    """A version of which each evaluation's questions are answered right where `right` says so."""
    record = a_version(name, *(0.5,) * evaluations)
    for task in ("facts", "sums")[:evaluations]:
        rows_of = [a_sample(n, row, right(task, n), task=task) for n, row in enumerate(questions(60))]
        LOGS[name, task] = rows_of
    return record


def test_the_tests_of_a_tier_are_one_family():
    """14 against 4 flips are p = 0.031 alone, and 0.062 beside a second evaluation that shows nothing."""

    def one(task, number):
        return number < 14 or number >= 18

    def other(task, number):
        return number >= 14 if task == "facts" else one(task, number)

    alone = rows(marked("a", 1, one), marked("b", 1, other))["facts", "acc"]
    assert (alone.test, alone.best) == ("exact McNemar", ("a 1.0",))
    both = rows(marked("a", 2, one), marked("b", 2, other))["facts", "acc"]
    assert both.best == ()


def test_what_was_asked_otherwise_is_shown_as_that_and_not_compared():
    other = a_version("c", 0.9, dataset_digest="sha256:" + "e" * 64)
    found = rows(a_version("a", 0.5), a_version("b", 0.6), other)["facts", "acc"]
    last = found.cells[-1]
    assert (last.value, last.note) == (None, "asked otherwise")
    assert found.cells[0].value is not None


def test_a_measurement_that_a_version_lacks_is_not_measured():
    found = rows(a_version("a", 0.5, 0.5), a_version("b", 0.6))["sums", "acc"]
    assert [cell.note for cell in found.cells] == ["", "not measured"]
    assert found.best == ()


def test_a_record_without_a_load_test_is_noted_and_left_out():
    whole = a_version("a", 0.5)
    part = a_version("b", 0.5)
    part = part.model_copy(update={"measurements": part.evaluations})
    found = narrowed([whole, part], "facts")
    assert [record.label for record in found.records] == ["a 1.0"]
    assert [each.name for each in found.records[0].measurements] == ["chat", "facts"]
    (note,) = found.notes
    assert part.record_id in note


def test_versions_are_placed_by_the_measurements_that_have_a_weight():
    record = a_version("a", 0.5, 0.6)
    assert {each.name for each in record.measurements} == {"chat", "rag", "facts", "sums"}
    for ranked, expected in (((), ["chat", "facts"]), ({"rag", "sums"}, ["rag", "sums"])):
        (placed,) = narrowed([record], ranked=ranked).records
        assert [each.name for each in placed.measurements] == expected


@pytest.fixture(scope="module")
def comparison():
    records = [a_version("a", 0.9, 0.5), a_version("b", 0.4, 0.52, slowness=2)]
    placed = narrowed(records, "facts").records
    made = compare(placed, {record.record_id: LOGS[record.selection.name, "facts"] for record in placed})
    return made.model_copy(update={"tiers": tiers(records, read)})


def test_the_table_has_a_column_for_each_version_and_the_star_where_it_belongs(comparison):
    table = tiers_table(comparison)
    assert list(table.columns) == ["measurement", "figure", "a 1.0", "b 1.0"]
    facts = table[table["measurement"] == "facts"].iloc[0]
    assert STAR in facts["a 1.0"]
    assert STAR not in facts["b 1.0"]


def test_each_workload_has_its_own_axes_and_one_alone_no_figure(comparison):
    figure = workloads(comparison)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["chat: chatbot", "rag: rag"]
    one = comparison.model_copy(update={"tiers": tuple(row for row in comparison.tiers if row.name != "rag")})
    assert workloads(one) is None


STRICT = Metric(name="strict", value=0.4, n=160, kind="proportion", interval=wilson(64, 160))


def test_further_figures_have_a_row_of_their_own_and_no_test():
    found = rows(a_version("a", 0.9, others=(STRICT,)), a_version("b", 0.4))
    assert found["facts", "acc"].best == ("a 1.0",)
    further = found["facts", "strict"]
    assert (further.test, further.best) == ("", ())
    assert [(cell.value, cell.note) for cell in further.cells] == [(0.4, ""), (None, "not measured")]


def test_the_rows_on_which_versions_differ_are_kept_for_each_evaluation():
    records = [a_version("a", 0.9, 0.9), a_version("b", 0.4, 0.3)]
    found = by_evaluation(records, read, besides="facts")
    assert set(found) == {"sums"}
    assert all(len(set(flip.correct.values())) == 2 for flip in found["sums"])
    assert sum(flip.correct["a 1.0"] for flip in found["sums"]) > len(found["sums"]) / 2


def test_each_evaluation_has_a_panel_with_all_its_shares(comparison):
    figure = pyramid(comparison)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["accuracy: facts (facts)", "accuracy: sums (sums)"]
    one = comparison.model_copy(update={"tiers": tuple(row for row in comparison.tiers if row.name != "sums")})
    assert pyramid(one) is None


def test_the_tiers_that_nobody_measured_are_named(comparison):
    assert comparison.not_measured == ("format", "tools", "safety", "application")
