"""`make check`: what would be measured, and all that is wrong, before anything starts."""

from __future__ import annotations

import json
import shutil

import pytest

from helpers.datasets import load_questions
from helpers.datasets.making import make_use_case
from helpers.errors import InvalidParameter
from helpers.pipelines import Pipeline, checking
from helpers.pipelines.__main__ import main
from helpers.runtime.workspace import ROOT

ENGINEER = Pipeline("ai-engineer")


@pytest.fixture
def mine(tmp_path):
    """A use case of somebody's own, outside the workspace."""
    return make_use_case("mine", tmp_path / "Meine Daten")


def test_what_would_be_measured_is_told_with_an_estimate_from_the_last_measured_request(tmp_path, monkeypatch):
    monkeypatch.setattr(checking, "ROOT", tmp_path)
    assumed = checking.check(ENGINEER, {})
    measured = tmp_path / "runs" / "one" / "notebooks" / "artifacts" / "chat.json"
    measured.parent.mkdir(parents=True)
    measured.write_text(
        json.dumps({"name": "chat", "kind": "load_test", "tier": "performance", "one_request_seconds": 30.0})
    )
    slow = checking.check(ENGINEER, {})
    count = len(load_questions(ROOT / "datasets" / "ops-assistant" / "ops_assistant.jsonl"))
    assert "178 prompts" in line(slow, "chat")
    assert all(word in line(slow, "knowledge") for word in ("ops_assistant", f"{count} questions", str(4 * count)))
    assert {each for each in slow if each not in assumed} == {line(slow, "chat")}
    assert any(each.startswith("9 questions of knowledge share words with documents") for each in slow)


def line(said, name):
    """The line about one measurement."""
    (found,) = (each for each in said if each.startswith(f"{name}: "))
    return found


def test_a_use_case_decides_what_would_be_measured_and_a_value_that_is_given_wins(mine):
    said = checking.check(ENGINEER, {"USE_CASE": str(mine)})
    assert "10 prompts" in line(said, "chat")
    assert "task mine, 10 questions" in line(said, "knowledge")
    said = checking.check(ENGINEER, {"USE_CASE": str(mine), "WORKLOAD": "rag", "SCALE": "0.5", "LIMIT": "4"})
    assert "rag_2048_256" in line(said, "chat")
    assert "task mine, 4 questions" in line(said, "knowledge")


def test_what_no_node_measures_is_said(mine):
    file = mine / "use-case.yaml"
    file.write_text(file.read_text().replace("workloads: ", "workloads:\n  long: {profile: long_rag} #"))
    said = checking.check(ENGINEER, {"USE_CASE": str(mine)})
    assert [each for each in said if each.startswith("not measured") and each.endswith(": long")]


@pytest.mark.parametrize("where", ["use case", "CRITERIA"])
@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("knowledge.exact_match", False),
        ("knowledge.acc_norm", False),
        ("knowledge.ttft_p95_ms", False),
        ("knowledge.ACC", False),
        ("chat.acc", False),
        ("long.goodput", False),
        ("nobody.acc", False),
        ("chat.goodput", True),
        ("knowledge.acc", True),
    ],
)
def test_criteria_ask_about_what_the_nodes_measure_only(mine, tmp_path, where, name, there):
    file = mine / "use-case.yaml"
    file.write_text(file.read_text().replace("workloads: ", "workloads:\n  long: {profile: long_rag} #"))
    given = {"USE_CASE": str(mine)}
    criteria = mine / "criteria.yaml"
    if where == "CRITERIA":
        criteria = tmp_path / "own.yaml"
        given["CRITERIA"] = str(criteria)
    criteria.write_text(f"chat.ttft_p95_ms: {{weight: 1}}\n{name}: {{weight: 1}}\n")
    if there:
        assert checking.check(ENGINEER, given)
        return
    with pytest.raises(InvalidParameter) as refused:
        checking.check(ENGINEER, given)
    assert f"{criteria}:2: nothing measures {name}" in refused.value.what
    assert all(figure in refused.value.what for figure in ("chat.goodput", "knowledge.acc"))


def test_criteria_ask_about_the_metric_that_is_given(mine):
    task, criteria = mine / "task.yaml", mine / "criteria.yaml"
    task.write_text(task.read_text().replace("  - metric: acc\n", "  - metric: acc\n  - metric: acc_norm\n"))
    criteria.write_text("knowledge.acc_norm: {weight: 1}\n")
    assert checking.check(ENGINEER, {"USE_CASE": str(mine), "METRIC": "acc_norm"})
    with pytest.raises(InvalidParameter, match=r"nothing measures knowledge\.acc_norm"):
        checking.check(ENGINEER, {"USE_CASE": str(mine)})


def test_every_wrong_line_is_told_with_the_other_faults(mine):
    (mine / "criteria.yaml").write_text("a.acc: {weight: 1}\nb.acc: {weight: 1}\n")
    with pytest.raises(InvalidParameter) as refused:
        checking.check(ENGINEER, {"USE_CASE": str(mine), "MIN_REQUESTS": "0", "MODL": "x"})
    assert [word in refused.value.what for word in ("a.acc", "b.acc", "MIN_REQUESTS", "MODL")] == [True] * 4


@pytest.mark.parametrize(("pipeline", "lacks"), [("ai-engineer", "weight"), ("regression", "tolerance")])
def test_criteria_without_what_a_stage_decides_by_are_refused(mine, pipeline, lacks):
    (mine / "criteria.yaml").write_text('knowledge.acc: {must: ">= 0.3"}\nchat.goodput: {weight: 0}\n')
    with pytest.raises(InvalidParameter) as refused:
        checking.check(Pipeline(pipeline), {"USE_CASE": str(mine)})
    assert f"{mine / 'criteria.yaml'}: no line has a {lacks}" in refused.value.what


def test_the_baseline_is_a_use_case_too():
    said = checking.check(Pipeline("model-ops"), {})
    assert "chatbot_64_32" in line(said, "chat")
    assert "ops_assistant" in line(said, "knowledge")


def test_every_fault_of_a_use_case_is_told_at_its_line_in_the_users_own_path(mine):
    file = mine / "use-case.yaml"
    file.write_text(
        file.read_text()
        .replace("prompts: prompts.jsonl", "prompts: prompts.jsonl, min_requests: 0")
        .replace("task: mine", "task: mine, metric: acuracy")
    )
    (mine / "prompts.jsonl").write_text('{"prompt": " "}\n')
    with pytest.raises(InvalidParameter) as refused:
        checking.check(ENGINEER, {"USE_CASE": str(mine), "MODL": "x"})
    assert f"{file}:6: chat: " in refused.value.what
    assert f"{file}:8: knowledge: " in refused.value.what
    assert all(word in refused.value.what for word in ("MIN_REQUESTS", "acuracy", "MODL"))
    file.write_text(file.read_text().replace("min_requests: 0", "min_requests: 1"))
    with pytest.raises(InvalidParameter) as refused:
        checking.check(ENGINEER, {"USE_CASE": str(mine)})
    assert f"{mine / 'prompts.jsonl'}, line 1" in refused.value.what


def test_a_whole_run_measures_the_samples_on_the_use_case_and_leaves_the_baseline_its_own(mine, monkeypatch):
    from helpers.local import run

    seen = {}
    monkeypatch.setattr(run, "check_values", lambda pipeline, words, _: seen.update({pipeline.name: words}))
    words = {"USE_CASE": str(mine), "METRIC": "f1", "LIMIT": "5", "KV_CACHE_GIB": "2"}
    run.check(words)
    assert seen == {"model-ops": {"KV_CACHE_GIB": "2"}, "ai-engineer": words}, "there is nothing to tune on"
    run.check({"EPOCHS": "1"})
    assert seen == {"model-ops": {}, "ai-engineer": {}, "fine-tune": {"EPOCHS": "1"}}
    for wrong in ({"SOURCE": "/x"}, {"MODEL_NAME": "x"}, {"MODL": "x"}):
        with pytest.raises(InvalidParameter, match=next(iter(wrong))):
            run.check(wrong)


def test_a_name_without_a_folder_labels_what_parameters_say(mine):
    given = {"USE_CASE": "nobodys", "PROMPTS": str(mine / "prompts.jsonl"), "TASK": "mine", "INCLUDE_PATH": str(mine)}
    said = checking.check(ENGINEER, given)
    assert ("10 prompts" in line(said, "chat"), "task mine" in line(said, "knowledge")) == (True, True)
    for lacking in ("PROMPTS", "TASK"):
        with pytest.raises(InvalidParameter, match=f"nobodys.*{lacking}"):
            checking.check(ENGINEER, {name: value for name, value in given.items() if name != lacking})


@pytest.mark.parametrize(("words", "code"), [(["USE_CASE=ops-assistant"], 0), (["PROMPTS=/nowhere", "MODL=x"], 1)])
def test_the_command_starts_nothing(words, code, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["check", "check", *words])
    before = set((ROOT / "runs").glob("*"))
    assert main() == code
    assert set((ROOT / "runs").glob("*")) == before
    said = capsys.readouterr()
    assert all(
        word.split("=")[0] in (said.err if code else said.out) for word in words if word != "USE_CASE=ops-assistant"
    )


def test_every_tier_that_the_use_case_names_is_told_beforehand(tmp_path):
    mine = shutil.copytree(ROOT / "datasets" / "ops-assistant", tmp_path / "mine")
    file = mine / "use-case.yaml"
    tiers = ("formatting", "tools", "safety", "application")
    text = file.read_text().replace("name: ops-assistant", "name: mine", 1)
    for name in tiers:
        text = text.replace(f"  # {name}:", f"  {name}:")
    file.write_text(text)
    said = checking.check(ENGINEER, {"USE_CASE": str(mine)})
    assert [line.partition(":")[0] for line in said if line.startswith(tiers)] == list(tiers)
    assert not any("not measured" in line for line in said)
    shipped = checking.check(ENGINEER, {})
    assert sum("not measured" in line for line in shipped) == len(tiers)
