"""Scores are told with and without the questions whose wording a model may know from its training."""

from __future__ import annotations

import pytest

from helpers.analysis import wording
from helpers.analysis.comparison import compare
from helpers.artifacts import Dataset
from helpers.datasets.making import make_use_case
from helpers.reporting.page.tables import without
from helpers.statistics import from_counts, wilson
from tests.plugins.records import a_record, a_sample, questions

SEEN = {question["id"] for question in questions(20)[::2]}


def compared(seen_before=SEEN):
    """Two models that know ten and twelve of twenty questions; the better one all of those that it has seen before."""
    right = {"base": set(range(10)), "tuned": {*range(0, 20, 2), 1, 3}}
    logs = {
        name: [a_sample(number, question, number in known) for number, question in enumerate(questions(20))]
        for name, known in right.items()
    }
    records = [a_record(name, samples=log) for name, log in logs.items()]
    return compare(records, {each.record_id: logs[each.selection.name] for each in records}, seen_before=seen_before)


def test_scores_and_differences_are_told_without_them_too():
    found = compared()
    apart = found.without
    assert set(apart.questions) == SEEN
    assert [(each.label, each.score, each.n) for each in apart.scores] == [
        ("tuned 1.0", 0.2, 10),
        ("base 1.0", 0.5, 10),
    ]
    assert apart.scores[0].interval == wilson(2, 10)
    (pair,) = apart.pairs
    wanted = from_counts(2, 0, 3, 10)
    assert (pair.paired.difference, pair.paired.interval) == (wanted.difference, wanted.interval)
    assert found.pairs[0].paired.difference == pytest.approx(0.1)
    assert found.standings[0].accuracy == 0.6


def test_the_report_shows_them_in_one_table():
    table = without(compared())
    assert [row[0] for row in table.rows] == ["tuned 1.0", "base 1.0", "tuned 1.0 against base 1.0"]
    assert [cell.split()[0] for row in table.rows for cell in row[1:]] == [
        *("0.600", "0.200"), *("0.500", "0.500"), *("+0.100", "-0.300"),
    ]  # fmt: skip
    assert all(table.numeric[1:])
    assert without(compared(())) is None
    assert compared({"nobody-asked-this"}).without is None
    assert compared({question["id"] for question in questions(20)}).without is None


def test_what_this_run_has_found_counts_before_the_files_of_the_use_case(tmp_path):
    found = wording.seen_before("ops-assistant", "ops_assistant", tmp_path)
    assert len(found) == 9
    assert wording.seen_before("ops-assistant", "another_task", tmp_path) == ()
    assert wording.seen_before("a-label", "ops_assistant", tmp_path) == ()
    assert wording.seen_before(str(make_use_case("mine", tmp_path)), "mine", tmp_path) == ()
    known = {"name": "knowledge", "role": "questions", "files": (), "rows": 1, "lengths": ()}
    examples = {"name": "e", "role": "examples", "files": (), "rows": 1, "lengths": ()}
    said = {"kind": "overlap", "set": "knowledge", "where": (), "what": "", "number": 8}
    findings = [said | {"against": "e", "ids": ("one",)}, said | {"against": "chat", "ids": ("two",)}]
    Dataset(
        use_case="ops-assistant", digests={}, unit="words", settings={}, sets=(known, examples), findings=findings
    ).write(tmp_path)
    assert wording.seen_before("ops-assistant", "ops_assistant", tmp_path) == ("one",)
