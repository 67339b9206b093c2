"""lm-eval's folders become measurements; what is not whole is refused with file and line."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from helpers.errors import InvalidResults, NotFound
from helpers.records.imports import alike, as_record, read_all, read_source
from tests.records.imports.conftest import FACTS

OPS, SUMS = "ops_assistant", "sums"


def read(folder, metric=""):
    return read_source(str(folder.path), metric)


def measured(found, task):
    (one,) = [each for each in found.evaluations if each.task == task]
    return one


def test_each_task_and_each_group_is_a_measurement_with_its_samples(small):
    found, told = read(small), json.loads(small.results.read_text())
    ops, sums = measured(found, OPS), measured(found, SUMS)
    assert found.model == "smollm2-135m-instruct"
    assert [each.imported for each in found.measurements] == [True, True]
    assert ops.score == pytest.approx(told["results"][OPS]["acc,none"])
    assert sums.score == pytest.approx(told["groups"][SUMS]["exact_match,strict"])
    assert (ops.n, sums.n, ops.num_fewshot, sums.num_fewshot) == (36, 24, 0, 2)
    assert ops.versions == {"lm_eval": "0.4.13"}
    assert {sample.category for sample in found.samples[sums.name]} == {"sums_add", "sums_sub"}
    assert {sample.cluster for sample in found.samples[ops.name]} > {""} or ops.clusters > 1
    assert len({sample.id for sample in found.samples[ops.name]}) == 36


def test_a_metric_may_be_named_and_its_filter_is_kept_apart(small):
    strict, flexible = (measured(read(small, name), SUMS) for name in ("exact_match,strict", "exact_match,flexible"))
    told = json.loads(small.results.read_text())["groups"][SUMS]
    assert (strict.metric, flexible.metric) == ("exact_match,strict", "exact_match,flexible")
    assert flexible.score == pytest.approx(told["exact_match,flexible"])


@pytest.mark.parametrize("version", ["0.4.13", "0.4.8"])
def test_an_older_version_s_folder_says_the_same(version):
    found = read_source(str(FACTS / f"lm-eval-{version}" / "smollm2"))
    reference = read_source(str(FACTS / "lm-eval-0.4.13" / "smollm2"))
    assert [(each.task, each.n) for each in found.evaluations] == [(e.task, e.n) for e in reference.evaluations]
    assert [sample.id for sample in found.samples[OPS]] == [sample.id for sample in reference.samples[OPS]]


def test_questions_are_paired_by_their_document_and_not_by_their_place(small, large):
    before = {sample.id: sample.score for sample in read(large).samples[OPS]}

    def turned(rows):
        return [{**row, "doc_id": len(rows) - 1 - row["doc_id"]} for row in reversed(rows)]

    large.rows(OPS, turned)
    large.report(lambda content: content.update(task_hashes={}))
    assert {sample.id: sample.score for sample in read(large).samples[OPS]} == before
    kept, notes = alike([read(small), read(large)])
    assert measured(kept[1], OPS).dataset_digest == measured(kept[0], OPS).dataset_digest
    assert not notes


def lose_last_line(folder):
    log = folder.log(OPS)
    log.write_bytes(log.read_bytes()[:-40])
    return f"{log.name}, line 36: is cut short"


def lose_a_question(folder):
    folder.rows(OPS, lambda rows: rows[:-1])
    return f"{folder.log(OPS).name}: holds 35 of 36 questions"


def answer_twice(folder):
    folder.rows(OPS, lambda rows: [*rows, rows[3]])
    return f"{folder.log(OPS).name}, line 37: question 3 is there twice, first in line 4"


def score_outside(folder):
    folder.rows(OPS, lambda rows: [{**row, "acc": 7.0} if row["doc_id"] == 5 else row for row in rows])
    return f"{folder.log(OPS).name}, line 6: acc is 7, outside 0 and 1"


def another_s_answers(folder):
    folder.rows(OPS, lambda rows: [{**row, "acc": 1.0 - row["acc"]} for row in rows])
    return f"{folder.log(OPS).name}: belongs to another results file"


def another_s_questions(folder):
    folder.rows(OPS, lambda rows: [{**row, "doc_hash": row["doc_hash"][::-1]} for row in rows])
    return f"{folder.log(OPS).name}: belongs to another results file"


def another_date(folder):
    log = folder.log(OPS)
    log.rename(log.with_name(f"samples_{OPS}_2020-01-01T00-00-00.000000.jsonl"))
    return "2020-01-01T00-00-00.000000.jsonl beside"


def no_json(folder):
    folder.results.write_text('{"results": ')
    return f"{folder.results.name} is no whole JSON file"


def lose_a_field(folder):
    folder.rows(OPS, lambda rows: [{k: v for k, v in row.items() if k != "doc_hash"} for row in rows])
    return f"{folder.log(OPS).name}, line 1: has no doc_hash"


def another_form(folder):
    folder.report(lambda content: content.update(group_subtasks=[]))
    return f"{folder.results.name}: is not as lm-eval writes it"


def a_document_that_is_none(folder):
    folder.rows(OPS, lambda rows: [{**row, "doc": "text"} if row["doc_id"] == 5 else row for row in rows])
    return f"{folder.log(OPS).name}, line 6: is not as lm-eval writes it"


def before_0_4(folder):
    folder.report(lambda content: content.pop("configs"))
    return f"{folder.results.name}: is of lm-eval before 0.4"


def not_to_be_read(folder):
    folder.log(OPS).rename(folder.path / "kept")
    folder.log("sums_add").with_name("more.jsonl").symlink_to("nowhere")
    return "more.jsonl cannot be read"


@pytest.mark.parametrize(
    "spoil",
    [lose_last_line, lose_a_question, answer_twice, score_outside, another_s_answers, another_s_questions,
     another_date, no_json, lose_a_field, another_form, a_document_that_is_none, before_0_4, not_to_be_read],
)  # fmt: skip
def test_what_is_not_whole_is_refused_with_its_place(small, spoil):
    told = spoil(small)
    with pytest.raises((InvalidResults, NotFound), match=re.escape(told)):
        read(small)


def test_a_folder_of_two_models_is_refused(small, large):
    shutil.copytree(large.path, small.path / "another")
    with pytest.raises(InvalidResults, match=r"several models: .*(smollm2.* and ops-large|ops-large.* and smollm2)"):
        read(small)


def test_one_model_twice_is_refused_and_one_file_of_the_two_is_read(small):
    shutil.copytree(small.path, small.path / "again")
    with pytest.raises(InvalidResults, match=r"of one model twice: .*again"):
        read(small)
    assert read_source(str(small.results)).evaluations


def test_all_faults_are_told_at_once(small, large, tmp_path):
    with pytest.raises(InvalidResults) as refused:
        read_all([str(small.path), str(tmp_path / "nowhere"), f"x={tmp_path / 'nothing'}", *map(str, [large.path])])
    assert "nowhere" in str(refused.value)
    assert "nothing" in str(refused.value)


def test_models_of_one_name_are_told_apart_and_a_name_may_be_given(small, tmp_path):
    shutil.copytree(small.path, tmp_path / "later")
    first, second = read_all([str(small.path), str(tmp_path / "later")])
    assert first.model != second.model
    assert read_all([f"old={small.path}", f"new={tmp_path / 'later'}"])[1].model == "new"
    with pytest.raises(InvalidResults, match="two are called"):
        read_all([f"old={small.path}", f"old={small.path}"])
    with pytest.raises(NotFound):
        read_source(str(tmp_path / "nowhere"))


def test_what_jupyter_and_macos_leave_hidden_is_no_result(small):
    (small.path / ".ipynb_checkpoints").mkdir()
    shutil.copy(small.results, small.path / ".ipynb_checkpoints" / "results-checkpoint.json")
    (small.path / f"._{small.results.name}").write_bytes(b"\x00\x05\x16\x07")
    assert OPS in [each.task for each in read(small).evaluations]


def test_a_folder_that_cannot_be_read_is_no_empty_one(small, monkeypatch):
    def refused(place):
        raise PermissionError(13, "Permission denied", str(place))

    monkeypatch.setattr("os.scandir", refused)
    with pytest.raises(NotFound, match="cannot be read: Permission denied"):
        read(small)


@pytest.mark.parametrize("name", ["~/models/one", "../one", "/a/../b", "(one)", "\x1b[31mone|", "x" * 400, "?"])
def test_any_name_is_a_model_s_name(small, large, name):
    small.report(lambda content: content.update(model_name=name))
    large.report(lambda content: content.update(model_name=name))
    found = read_all([str(small.path), str(large.path)])
    labels = {as_record(each).label for each in found}
    assert len(labels) == 2
    assert all(label.isprintable() for label in labels)


def another_version(content):
    content["versions"][OPS] = 2.0


def another_prompt(content):
    content["configs"][OPS]["doc_to_text"] = "Q: {{question}}"


def more_examples(content):
    content["n-shot"][OPS] = 5


def another_system(content):
    content["system_instruction"] = "Be brief."


@pytest.mark.parametrize(
    ("change", "said"),
    [(another_version, "another task version (2.0 instead of 1.0)"), (more_examples, "5 worked examples instead of 0"),
     (another_system, "another system instruction")],
)  # fmt: skip
def test_what_was_asked_otherwise_is_left_out_with_the_reason(small, large, change, said):
    large.report(change)
    kept, notes = alike([read(small), read(large)])
    assert OPS not in [each.task for each in kept[1].evaluations]
    assert any(said in note and "ops-large" in note for note in notes)


def test_another_prompt_is_refused_and_another_chat_template_is_said(small, large):
    def other_text(rows):
        for row in rows:
            for given in row["arguments"].values():
                given["arg_0"] = "Hello. " + given["arg_0"]
        return rows

    large.rows(OPS, other_text)
    kept, notes = alike([read(small), read(large)])
    assert any("other text around them" in note for note in notes)
    assert OPS in [each.task for each in kept[1].evaluations]
    large.report(another_prompt)
    kept, notes = alike([read(small), read(large)])
    assert any("another prompt" in note for note in notes)
    assert OPS not in [each.task for each in kept[1].evaluations]


def test_a_run_that_was_cut_is_a_trial_and_compared_with_no_whole_one(small, large):
    large.rows(OPS, lambda rows: rows[:10])

    def cut(content):
        content["n-samples"][OPS]["effective"] = 10
        content["task_hashes"] = {}
        rows = [json.loads(line) for line in large.log(OPS).read_text().splitlines()]
        content["results"][OPS]["acc,none"] = sum(row["acc"] for row in rows) / 10

    large.report(cut)
    assert measured(read(large), OPS).partial == "a trial of 10 questions"
    kept, notes = alike([read(small), read(large)])
    assert OPS not in [each.task for each in kept[1].evaluations]
    assert any("10 questions (cut) against 36 questions" in note for note in notes)


def test_without_samples_the_score_has_an_interval_by_the_number_of_questions(small):
    for log in small.path.glob("samples_*"):
        log.unlink()
    found = read(small)
    ops = measured(found, OPS)
    assert (ops.n, ops.samples, ops.interval.method) == (36, "", "wilson")
    assert not found.samples
    small.report(lambda content: content.pop("n-samples"))
    with pytest.raises(InvalidResults, match="neither samples nor the number of questions"):
        read(small)


def test_a_metric_of_all_questions_together_is_no_share_of_them(small):
    """Such as an F1 or a correlation: its value and the number of questions say nothing about how sure it is."""
    for log in small.path.glob("samples_*"):
        log.unlink()

    def f1(content):
        content["results"][OPS] = {"f1,none": 0.4}
        content["configs"][OPS]["metric_list"] = [{"metric": "f1", "aggregation": "def span_f1(items): ..."}]

    small.report(f1)
    assert OPS not in [each.task for each in read(small).evaluations]
    small.report(lambda content: content["configs"][OPS].update(metric_list=[{"metric": "f1"}]))
    assert OPS not in [each.task for each in read(small).evaluations]


def test_what_is_better_where_it_is_lower_is_no_score_whoever_says_so(small):
    """The report does in newer versions, in older ones the task's configuration alone."""

    def lower(content):
        content.pop("higher_is_better")
        content["configs"][OPS]["metric_list"] = [{"metric": "acc", "aggregation": "mean", "higher_is_better": False}]
        content["results"][OPS] = {"acc,none": content["results"][OPS]["acc,none"]}

    small.report(lower)
    found = read(small)
    assert OPS not in [each.task for each in found.evaluations]
    assert any("acc is better where it is lower" in note for note in found.notes)


def test_a_filter_may_keep_a_list_of_an_answer(small):
    """As HumanEval's does, whose programs are run."""
    before = read(small).samples["sums"]
    small.rows("sums_add", lambda rows: [{**row, "filtered_resps": [row["filtered_resps"]]} for row in rows])
    after = read(small).samples["sums"]
    assert [(each.id, each.score, each.output) for each in after] == [
        (each.id, each.score, each.output) for each in before
    ]


def test_a_function_s_place_in_memory_is_no_other_prompt(small, large):
    for folder, place in ((small, "0x7f01"), (large, "0x7f02")):
        folder.report(lambda c, p=place: c["configs"][OPS].update(doc_to_text=f"<function text at {p}>"))
    asked = [measured(read(folder), OPS).settings["prompt"] for folder in (small, large)]
    assert asked[0] == asked[1]


def test_an_empty_answer_is_none_and_a_text_without_an_answer_is_one(small):
    def emptied(rows):
        return [
            {**row, "resps": [[""]], "filtered_resps": ["[invalid]"]} if row["doc_id"] == 0 else row for row in rows
        ]

    def counted(rows):
        return sum(row["exact_match"] for row in rows if row["filter"] == "strict") / 12

    small.rows("sums_add", emptied)
    small.rows("sums_add", lambda rows: [{**row, "exact_match": 0.0} if row["doc_id"] == 0 else row for row in rows])
    rows = [json.loads(line) for line in small.log("sums_add").read_text().splitlines()]

    def corrected(content):
        for kept in ("strict", "flexible"):
            mean = sum(row["exact_match"] for row in rows if row["filter"] == kept) / 12
            content["results"]["sums_add"][f"exact_match,{kept}"] = mean

    small.report(corrected)
    sums = measured(read(small), SUMS)
    assert (sums.empty, sums.n, sums.total) == (1, 23, 24)


def test_a_group_whose_tasks_share_no_metric_is_read_by_what_makes_it_up(small):
    """As the leaderboard's group, which holds groups and tasks with metrics of their own."""

    def nested(content):
        content["group_subtasks"] = {"board": [SUMS, OPS], SUMS: ["sums_add", "sums_sub"]}

    small.report(nested)
    assert [(each.task, each.n) for each in read(small).evaluations] == [(OPS, 36), (SUMS, 24)]
