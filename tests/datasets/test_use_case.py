"""A use case's file is read whole or refused whole: each fault by file, line and field."""

from __future__ import annotations

import os
import subprocess

import pytest

from helpers import load_test
from helpers.datasets import load_prompts, load_questions, load_use_case, stated
from helpers.datasets.making import make_use_case
from helpers.datasets.use_case import LmEval, OwnData, Workload
from helpers.errors import InvalidDataset, InvalidInput
from helpers.evaluation import lm_eval
from helpers.evaluation.asked import Asked
from helpers.evaluation.lm_eval.settings import Settings
from helpers.evaluation.lm_eval.tasks import check_task
from helpers.runtime.workspace import ROOT

GOOD = """\
name: mine
description: what it is for
slo: {ttft_ms: 500}
workloads:
  chat: {prompts: prompts.jsonl, min_requests: 10}
  rag:
    profile: rag
    scale: 0.5
    slo: {e2e_ms: 9000}
evaluations:
  knowledge: {tier: accuracy, evaluator: lm_eval, task: mine, include_path: tasks, num_fewshot: 2}
criteria: criteria.yaml
"""


@pytest.fixture
def written(tmp_path):
    """Write the file, changed, with all that it names."""
    folder = tmp_path / "mine"
    (folder / "tasks").mkdir(parents=True)
    (folder / "prompts.jsonl").write_text('{"prompt": "hello"}\n')
    (folder / "criteria.yaml").touch()

    def write(*changes):
        text = GOOD
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (folder / "use-case.yaml").write_text(text)
        return folder

    return write


def test_a_workload_and_an_evaluation_are_settings_of_their_stages(written, monkeypatch):
    folder = written()
    use_case = load_use_case(folder)
    assert use_case.names == ("chat", "rag", "knowledge")
    chat = load_test.Settings(**use_case.workload("chat"))
    assert (chat.workload, chat.prompts, chat.min_requests) == ("prompts", str(folder / "prompts.jsonl"), 10)
    assert (chat.slo.ttft_ms, chat.slo.itl_ms) == (500, None)
    rag = load_test.Settings(**use_case.workload("rag"))
    assert (rag.workload, rag.scale, rag.slo.ttft_ms, rag.slo.e2e_ms) == ("rag", 0.5, None, 9000)
    asked = lm_eval.Settings(**use_case.evaluation("knowledge"))
    assert (asked.task, asked.include_path, asked.num_fewshot) == ("mine", folder / "tasks", 2)


def test_every_field_of_the_file_is_a_setting_of_its_stage():
    assert set(Workload.model_fields) - {"slo"} <= set(load_test.Settings.model_fields)
    assert set(LmEval.model_fields) - {"tier", "evaluator"} <= set(Settings.model_fields)
    assert set(OwnData.model_fields) - {"tier", "evaluator"} <= set(Asked.model_fields)


@pytest.mark.parametrize(
    ("change", "line", "field"),
    [
        (("name: mine", "name: ../mine"), 1, "name"),
        (("name: mine", "name: Mine"), 1, "name"),
        (("name: mine", f"name: {'m' * 42}"), 1, "name"),
        (("ttft_ms: 500", "ttft_ms: 0"), 3, "slo.ttft_ms"),
        (("ttft_ms: 500", "tftt_ms: 500"), 3, "slo.tftt_ms"),
        (("  chat:", "  my chat:"), 5, "workloads.my chat"),
        (("prompts: prompts.jsonl", "prompts: nowhere.jsonl"), 5, "workloads.chat.prompts"),
        (("prompts: prompts.jsonl", "prompts: /etc/passwd"), 5, "workloads.chat.prompts"),
        (("prompts: prompts.jsonl", "prompts: prompts.jsonl, profile: rag"), 5, "workloads.chat"),
        (("min_requests: 10", "min_requests: many"), 5, "workloads.chat.min_requests"),
        (("min_requests: 10", "min_request: 10"), 5, "workloads.chat.min_request"),
        (("    profile: rag\n", ""), 6, "workloads.rag"),
        (("  knowledge:", "  chat:"), 10, "evaluations"),
        (("tier: accuracy", "tier: knowledge"), 11, "evaluations.knowledge.tier"),
        (("include_path: tasks", "include_path: nowhere"), 11, "evaluations.knowledge.include_path"),
        (("criteria: criteria.yaml", "criteria: nowhere.yaml"), 12, "criteria"),
        (("criteria: criteria.yaml", "criterion: criteria.yaml"), 12, "criterion"),
        (("ttft_ms: 500", "ttft_ms: true"), 3, "slo.ttft_ms"),
        (("ttft_ms: 500", 'ttft_ms: "500"'), 3, "slo.ttft_ms"),
        (("ttft_ms: 500", "ttft_ms: .inf"), 3, "slo.ttft_ms"),
        (("ttft_ms: 500", f"ttft_ms: {'1' * 5000}"), 3, "slo.ttft_ms"),
        (("ttft_ms: 500", "ttft_ms: !!float x"), 3, "slo.ttft_ms"),
        (("ttft_ms: 500", "ttft_ms: 2020-99-99"), 3, "slo.ttft_ms"),
        (("ttft_ms: 500", f"ttft_ms: {'[' * 3000}{']' * 3000}"), 3, "the file"),
        (("slo: {ttft_ms: 500}", "slo: &a {ttft_ms: *a}"), 3, "*a"),
        (("min_requests: 10", "min_requests: true"), 5, "workloads.chat.min_requests"),
        (("prompts: prompts.jsonl", 'prompts: "\\ud800.txt"'), 5, "workloads.chat.prompts"),
        (("prompts: prompts.jsonl", f"prompts: {'a' * 5000}"), 5, "workloads.chat.prompts"),
        (("  rag:", "  yes:"), 6, "workloads.yes"),
        (("prompts: prompts.jsonl", "prompts: s3://"), 5, "workloads.chat.prompts"),
        (("prompts: prompts.jsonl", "prompts: s3://bucket/../key"), 5, "workloads.chat.prompts"),
        (("include_path: tasks", 'include_path: ""'), 11, "evaluations.knowledge.include_path"),
        (("criteria: criteria.yaml", "criteria: [a"), 13, "the file"),
        (("criteria: criteria.yaml", "7: criteria.yaml"), 12, "7"),
    ],
)
def test_a_fault_is_named_by_file_line_and_field(written, change, line, field):
    folder = written(change)
    with pytest.raises(InvalidDataset) as refused:
        load_use_case(folder)
    assert f"{folder / 'use-case.yaml'}:{line}: {field}" in refused.value.what
    assert refused.value.what.count("use-case.yaml:") == 1


@pytest.mark.parametrize("text", ["", "- a", "7", "a: &a {b: 1}\n" + "".join(f"a{n}: *a\n" for n in range(9))])
def test_a_file_without_fields_or_with_anchors_is_refused(written, text):
    folder = written()
    (folder / "use-case.yaml").write_text(text)
    with pytest.raises(InvalidDataset):
        load_use_case(folder)


def test_all_faults_are_told_at_once(written):
    folder = written(("name: mine", "name: M"), ("scale: 0.5", "scale: half"), ("tier: accuracy", "tier: x"))
    with pytest.raises(InvalidDataset) as refused:
        load_use_case(folder)
    assert [f"use-case.yaml:{line}: " in refused.value.what for line in (1, 8, 11)] == [True] * 3


def test_an_evaluator_that_there_is_not_is_refused_with_those_that_there_are(written):
    folder = written(("evaluator: lm_eval, task: mine", "evaluator: ragas, probes: [dan]"))
    with pytest.raises(InvalidDataset, match=r":11: evaluations\.knowledge: .*ragas.*lm_eval") as refused:
        load_use_case(folder)
    assert "probes" not in refused.value.what


def test_a_name_that_the_file_does_not_have_is_refused_with_those_that_it_has(written):
    use_case = load_use_case(written())
    with pytest.raises(InvalidDataset, match="chat, rag"):
        use_case.workload("knowledge")
    with pytest.raises(InvalidDataset, match="knowledge"):
        use_case.evaluation("chat")


def test_a_folder_without_the_file_is_refused(tmp_path):
    with pytest.raises(InvalidDataset, match=r"use-case\.yaml cannot be read"):
        load_use_case(tmp_path)


@pytest.mark.parametrize("name", sorted(path.parent.name for path in ROOT.glob("datasets/*/use-case.yaml")))
def test_what_is_shipped_can_be_measured(name):
    use_case = load_use_case(ROOT / "datasets" / name)
    assert use_case.name == name
    assert {"chat", "knowledge"} <= set(use_case.names), "the shipped pipelines measure these"
    for each in use_case.workloads:
        load_test.Settings(**use_case.workload(each))
    for each in use_case.evaluations:
        task = check_task(Settings(**use_case.evaluation(each)))
        assert all(source.files for source in task.sources.values())


def test_the_digest_of_each_file_follows_the_file(written):
    folder = written()
    (folder / "tasks" / "mine.yaml").write_text("task: mine\n")
    first = load_use_case(folder).digests()
    assert set(first) == {"use-case.yaml", "prompts.jsonl", "criteria.yaml", "tasks/mine.yaml"}
    (folder / "tasks" / "mine.yaml").write_text("task: mine\ntag: other\n")
    second = load_use_case(folder).digests()
    assert {name for name, value in second.items() if value != first[name]} == {"tasks/mine.yaml"}
    assert stated.digests("a-mere-label") == {}


def test_both_groups_ask_what_lies_in_one_place():
    baseline, ours = (load_use_case(ROOT / "datasets" / name) for name in ("baseline", "ops-assistant"))
    assert baseline.evaluation("knowledge") == ours.evaluation("knowledge")
    assert not list((ROOT / "datasets" / "baseline").glob("*.jsonl"))


def test_a_new_use_case_can_be_measured_at_once(tmp_path):
    folder = make_use_case("my-own", tmp_path)
    use_case = load_use_case(folder)
    assert (use_case.name, folder) == ("my-own", tmp_path / "my-own")
    chat = load_test.Settings(**use_case.workload("chat"))
    assert len(load_prompts(folder / "prompts.jsonl")) == 10
    assert chat.prompts == str(folder / "prompts.jsonl")
    task = check_task(Settings(**use_case.evaluation("knowledge")))
    assert task.members == ("my_own",)
    assert folder / "questions.jsonl" in task.files
    questions = load_questions(folder / "questions.jsonl")
    assert len(questions) == 10
    assert {row.answer for row in questions} == {0, 1, 2, 3}
    assert "{name}" not in "".join(path.read_text() for path in folder.iterdir())
    assert os.listdir(tmp_path) == ["my-own"]


@pytest.mark.parametrize("name", ["", "..", "a/b", "Mine", "-x", "m" * 42, "mine\n"])
def test_a_bad_name_makes_nothing(tmp_path, name):
    with pytest.raises(InvalidInput, match="no name of a use case"):
        make_use_case(name, tmp_path / "datasets")
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(InvalidInput, match="there already"):
        make_use_case("mine", tmp_path)
    assert not list((tmp_path / "mine").iterdir())


@pytest.mark.parametrize(("name", "said"), [("ops-assistant", "there already"), ("../x", "no name")])
def test_make_refuses_it_too(name, said):
    command = ["make", "-o", ".venv/.ready", "use-case", f"NAME={name}"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert said in done.stderr
