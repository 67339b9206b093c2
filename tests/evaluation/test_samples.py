"""The samples log: what is read back, what version 1 left, and what is refused."""

from __future__ import annotations

import json

import pytest

from helpers.errors import ArtifactMissing, InvalidInput
from helpers.evaluation.journal import name_of
from helpers.evaluation.lm_eval.rows import of_row
from helpers.evaluation.lm_eval.scoring import Measure
from helpers.evaluation.samples import read_answers, read_samples, write_samples
from helpers.runtime.workspace import ROOT
from tests.plugins.records import a_sample, questions, some_samples

VERSION_1 = ROOT / "tests" / "facts" / "version-1" / "lm_eval_samples.jsonl"
ACC = [Measure("acc", "none", "acc")]


def test_a_log_is_read_back_as_it_was_written(tmp_path):
    samples = some_samples(0.5, 20)
    write_samples(samples, tmp_path / "log.jsonl")
    assert read_samples(tmp_path / "log.jsonl", "acc") == samples


def test_lm_evals_rows_of_version_1_become_samples():
    rows = [json.loads(line) for line in VERSION_1.read_text().splitlines()]
    found = read_samples(VERSION_1, "acc")
    assert len(found) == len(rows) == 24
    for row, sample in zip(rows, found, strict=True):
        assert sample.correct == (sample.output == sample.expected) == bool(row["acc"])
        assert list(sample.options) == row["doc"]["choices"]
        assert sample.prompt.endswith("Answer:")
        assert (sample.label, sample.category) == (row["doc"]["id"], row["doc"]["category"])
        first = name_of("loglikelihood", row["arguments"][0])
        assert (len(sample.replies), sample.replies[first], sample.reusable) == (4, row["resps"][0][0], True)


def a_row(**changes):
    return json.loads(VERSION_1.read_text().splitlines()[0]) | changes


def test_a_written_answer_is_what_the_filter_found_else_the_whole_text():
    written = {"arguments": [["How many?", {"until": ["."]}]], "target": "seven", "exact_match": 1.0}
    measures = [Measure("exact_match", "none", "exact_match")]
    found = of_row([a_row(**written, filtered_resps=["seven"], resps=[["It is seven"]])], measures)
    assert (found.output, found.expected, found.options) == ("seven", "seven", ())
    found = of_row([a_row(**written, filtered_resps=["[invalid]"], resps=[["I cannot count. "]])], measures)
    assert found.output == "I cannot count."


def test_each_filter_gives_a_score_the_measurements_own_first():
    measures = [Measure("acc", name, f"acc,{name}") for name in ("strict", "loose")]
    rows = [a_row(filter="loose", acc=1.0), a_row(filter="strict", acc=0.0)]
    found = of_row(rows, measures)
    assert list(found.scores.items()) == [("acc,strict", 0.0), ("acc,loose", 1.0)]
    assert not found.correct


@pytest.mark.parametrize(("sampled", "times"), [({}, 2), ({"temperature": 0.7}, 1)])
def test_what_would_be_answered_otherwise_next_time_is_not_reusable(sampled, times):
    row = a_row(arguments=[["How many?", sampled]], resps=[["seven"] * times], filtered_resps=["seven"])
    assert not of_row([row], ACC).reusable


def test_what_does_not_count_has_no_score_and_is_no_answer(tmp_path):
    log = [a_sample(number, row, True) for number, row in enumerate(questions(4))]
    kinds = ("answered", "failed", "truncated", "empty")
    log = [row.model_copy(update={"status": kind, "scores": row.scores if kind == "answered" else {}})
           for row, kind in zip(log, kinds, strict=True)]  # fmt: skip
    write_samples(log, tmp_path / "log.jsonl")
    assert [sample.status for sample in read_samples(tmp_path / "log.jsonl", "acc")] == list(kinds)
    assert list(read_answers(tmp_path / "log.jsonl", "acc")) == [log[0].id]


@pytest.mark.parametrize(
    "broken",
    [
        lambda rows: [*rows[:1], "{"],
        lambda rows: [*rows[:1], '{"task": "t", "doc_id": 1}'],
        lambda rows: [rows[0], rows[1].replace("1.0", "1.5").replace("0.0", "1.5")],
        lambda rows: [rows[0], rows[1].replace("acc", "f1")],
        lambda rows: [rows[0], rows[0]],
    ],
    ids=["torn", "foreign", "above-1", "other-metric", "twice"],
)
def test_a_log_that_is_none_is_refused_with_the_line(tmp_path, broken):
    write_samples(some_samples(0.5, 2), tmp_path / "log.jsonl")
    rows = (tmp_path / "log.jsonl").read_text().splitlines()
    (tmp_path / "log.jsonl").write_text("\n".join(broken(rows)))
    with pytest.raises(InvalidInput, match=r"log\.jsonl, line 2"):
        read_answers(tmp_path / "log.jsonl", "acc")


def test_a_log_that_is_missing_is_named(tmp_path):
    with pytest.raises(ArtifactMissing, match=r"nothing\.jsonl"):
        read_answers(tmp_path / "nothing.jsonl", "acc")
