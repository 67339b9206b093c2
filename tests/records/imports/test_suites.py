"""promptfoo's and garak's reports: an answer that failed is no wrong and no safe one, a run that broke off is none."""

from __future__ import annotations

import json

import pytest

from helpers.errors import InvalidResults
from helpers.records.imports import alike, read_all, read_source
from tests.records.imports.conftest import FACTS

PROMPTFOO, GARAK = FACTS / "promptfoo-0.121.20", FACTS / "garak-0.17.1"


def evaluation(path, metric=""):
    found = read_source(str(path), metric)
    (one,) = found.evaluations
    return one, found.samples[one.name]


@pytest.fixture
def suite(tmp_path):
    """Write promptfoo's file as `change` leaves its results, counted again or not; returns the path."""

    def made(change, *, counted=True):
        content = json.loads((PROMPTFOO / "ops-large.json").read_text())
        change(content["results"]["results"])
        if counted:
            content["results"]["stats"] = {"successes": len(content["results"]["results"])}
        path = tmp_path / "out.json"
        path.write_text(json.dumps(content))
        return path

    return made


@pytest.fixture
def scan(tmp_path):
    """Write garak's report as `change` leaves its lines; returns the path."""

    def made(change):
        rows = [json.loads(line) for line in (GARAK / "smollm2.report.jsonl").read_text().splitlines()]
        path = tmp_path / "scan.report.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in change(rows)))
        return path

    return made


def test_a_suite_s_score_is_what_promptfoo_counted():
    found, samples = evaluation(PROMPTFOO / "ops-large.json")
    told = json.loads((PROMPTFOO / "ops-large.json").read_text())["results"]["stats"]
    assert (found.correct, found.n) == (told["successes"], told["successes"] + told["failures"])
    assert (found.tier, found.imported, found.versions) == ("application", True, {"promptfoo": "0.121.20"})
    assert {sample.category for sample in samples} > {"workloads"} or samples[0].category == "workloads"


def test_two_models_tests_are_paired_by_what_was_asked():
    found, notes = alike(read_all([str(PROMPTFOO / f"{name}.json") for name in ("ops-large", "smollm2")]))
    first, second = ({sample.id for sample in next(iter(each.samples.values()))} for each in found)
    assert (first, notes) == (second, [])


def test_what_no_answer_or_no_grader_came_of_is_counted_apart(suite):
    def fail(rows):
        rows[0].update(failureReason=2, error="500 Internal Server Error", success=False, score=0)
        rows[1]["gradingResult"].update(reason="API call error: refused", score=0)
        rows[1].update(success=False, score=0, failureReason=1)
        rows[2]["response"]["output"] = ""

    found, samples = evaluation(suite(fail))
    assert (found.failed, found.empty, found.n, found.total) == (2, 1, 9, 12)
    assert sum(not sample.scores for sample in samples) == 3


def test_a_test_that_was_repeated_is_one_question_with_the_mean_of_its_answers(suite):
    def again(rows):
        rows.append({**rows[0], "success": not rows[0]["success"], "score": 1 - rows[0]["score"]})

    found, samples = evaluation(suite(again))
    assert found.total == 12
    assert samples[0].score == 0.5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows[3].update(score=2.5), "result 4: score is 2.5"),
        (lambda rows: rows[3].update(provider={"id": "openai:chat:another"}), "answers of ops-large, another"),
        (lambda rows: rows[3].pop("testCase"), "without 'testCase'"),
        (lambda rows: rows.clear(), "answers of none"),
        (lambda rows: rows[3].update(testCase="one"), "is not as promptfoo writes it"),
    ],
    ids=["outside", "two models", "a field", "empty", "another form"],
)
def test_a_suite_that_is_not_whole_is_refused(suite, change, said):
    with pytest.raises(InvalidResults, match=said):
        evaluation(suite(change))
    with pytest.raises(InvalidResults, match="no metric accuracy"):
        evaluation(PROMPTFOO / "ops-large.json", "accuracy")


def test_a_suite_of_which_results_were_left_out_is_refused(suite):
    with pytest.raises(InvalidResults, match="holds 11 of the 12 results"):
        evaluation(suite(lambda rows: rows.pop(), counted=False))


def test_a_scan_s_score_is_what_was_resisted_and_no_answer_is_not_safe():
    found, _ = evaluation(GARAK / "smollm2.report.jsonl")
    rows = [json.loads(line) for line in (GARAK / "smollm2.report.jsonl").read_text().splitlines()]
    told = [row for row in rows if row["entry_type"] == "eval"]
    assert found.n == sum(row["total_evaluated"] for row in told)
    assert found.correct == sum(row["passed"] for row in told)
    assert found.failed == sum(row["nones"] for row in told) == 31
    assert (found.tier, found.partial) == ("safety", "19 of 50 questions answered")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows[:-2], "the run did not end"),
        (
            lambda rows: [row for row in rows if row.get("probe_classname") != "encoding.InjectBase64"],
            "garak counted 6",
        ),
        (lambda rows: [row for row in rows if row["entry_type"] != "init"], "the run did not end"),
        (lambda rows: [{**row, "detector_results": True} for row in rows], "is not as garak writes it"),
    ],
    ids=["broken off", "attempts", "no beginning", "another form"],
)
def test_a_scan_that_is_not_whole_is_refused(scan, change, said):
    with pytest.raises(InvalidResults, match=said):
        evaluation(scan(change))
