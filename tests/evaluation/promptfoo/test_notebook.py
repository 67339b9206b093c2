"""The notebook, executed as a person or a pipeline would: real promptfoo, a scripted model."""

from __future__ import annotations

import json

import pytest

from helpers.artifacts import Evaluation
from helpers.errors import EvaluationFailed
from helpers.evaluation.promptfoo import Settings, evaluate, tool
from helpers.evaluation.samples import read_samples
from helpers.evaluation.told import summary
from helpers.reporting.plots.evaluation import passed_by_kind
from helpers.runtime.workspace import ROOT
from tests.plugins.kernels import execute

NOTEBOOK = ROOT / "notebooks" / "promptfoo_suite.ipynb"
SUITE = """
description: mine
prompts: [file://prompt.json]
providers: [{id: openai:gpt-4, config: {max_tokens: 5}}]
defaultTest: {assert: [{type: javascript, value: output.length < 40}]}
tests: [file://tests.csv, file://tests.yaml]
"""
PROMPT = '[{"role": "system", "content": "Be brief."}, {"role": "user", "content": {{ question | dump }}}]'
TABLE = "question,__expected,__metadata:category\nright,icontains: YES,table\nwrong,equals: no,table\n"
ROWS = """
- {description: python, vars: {question: right}, assert: [{type: python, value: 'file://judge.py'}]}
- {description: cut, vars: {question: cut}, assert: [{type: contains, value: yes}]}
- {description: json, vars: {question: json}, assert: [{type: is-json, value: 'file://schema.json'}]}
- {description: throws, vars: {question: throws}, assert: [{type: javascript, value: JSON.parse(output).a}]}
- {description: refused, vars: {question: refused}, assert: [{type: contains, value: yes}]}
"""
JUDGE = """
def get_assert(output, context):
    return output == "yes"
"""


@pytest.fixture
def folder(tmp_path, endpoint, monkeypatch):
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    endpoint().write(tmp_path / "artifacts")
    (tmp_path / "datasets").symlink_to(ROOT / "datasets")
    return tmp_path


def answer(body):
    question = body["messages"][-1]["content"]
    if question == "refused":
        return "it is too long"
    text = {"json": '{"a": 1}'}.get(question, "yes")
    return {"content": text, "finish_reason": "length" if question == "cut" else "stop"}


@pytest.mark.load
@pytest.mark.timeout(240)
def test_an_existing_suite_runs_unchanged_and_each_test_is_what_it_became(folder, server):
    assert (ROOT / ".tools" / "promptfoo").exists(), "promptfoo is missing: run make .tools/promptfoo"
    tool.versions.cache_clear()
    server.chat = answer
    suite = folder / "mine"
    suite.mkdir()
    files = {"promptfooconfig.yaml": SUITE, "prompt.json": PROMPT, "tests.csv": TABLE, "tests.yaml": ROWS}
    files |= {"judge.py": JUDGE, "schema.json": '{"required": ["a"]}'}
    for name, text in files.items():
        (suite / name).write_text(text)
    given = {"config": str(suite / "promptfooconfig.yaml"), "allow_partial": True, "max_tokens": "64"}
    done = execute(NOTEBOOK, folder / "out.ipynb", parameters=given, cwd=folder)
    found = Evaluation.read_named("application", folder / "artifacts")
    assert (found.total, found.n, found.correct, found.failed, found.truncated) == (7, 4, 3, 2, 1)
    samples = read_samples(folder / "artifacts" / found.samples, "passed")
    assert [sample.status for sample in samples] == ["answered"] * 3 + ["truncated", "answered", "failed", "failed"]
    assert {sample.category for sample in samples} == {"table", "promptfoo"}
    assert found.detail["assertions"]["javascript"] == {"passed": 4, "failed": 0}
    assert json.loads((folder / "artifacts" / found.report).read_text())["results"]["stats"]["errors"] == 1
    bodies = {body["messages"][-1]["content"]: body for body in server.chats}
    assert {name: bodies["right"][name] for name in ("model", "max_tokens", "temperature", "seed")} == {
        "model": "scripted", "max_tokens": 64, "temperature": 0, "seed": 1234,
    }  # fmt: skip
    assert bodies["right"]["messages"][0] == {"role": "system", "content": "Be brief."}
    assert any("image/png" in output.get("data", {}) for cell in done.cells for output in cell.get("outputs", ()))
    assert {path.name for path in suite.iterdir()} == set(files), "nothing was written there"


def test_a_use_case_without_a_suite_is_not_measured_and_costs_nothing(folder, server):
    (folder / "mine").mkdir()
    about = {"name": "mine", "description": "no suite", "workloads": {"chat": {"profile": "chatbot"}}}
    (folder / "mine" / "use-case.yaml").write_text(json.dumps(about))
    execute(NOTEBOOK, folder / "out.ipynb", parameters={"use_case": str(folder / "mine")}, cwd=folder)
    told = json.loads((folder / "artifacts" / "application.json").read_text())
    assert told["kind"] == "not_measured"
    assert (folder / "artifacts" / "application.promptfoo.json").read_bytes() == b""
    assert server.chats == []


@pytest.mark.load
@pytest.mark.timeout(180)
def test_another_model_judges_and_where_it_gives_no_verdict_there_is_none(folder, server, endpoint):
    def both(body):
        if body["model"] == "scripted":
            return {"content": body["messages"][-1]["content"]}
        good = "polite" in json.dumps(body["messages"]).split("<Output>")[-1]
        return {
            "content": json.dumps({"reason": "-", "pass": good, "score": int(good)}) if "odd" not in str(body) else "?"
        }

    server.chat = both
    assert (ROOT / ".tools" / "promptfoo").exists(), "promptfoo is missing: run make .tools/promptfoo"
    tool.versions.cache_clear()
    labels = {"polite a": "pass", "polite b": "fail", "rude a": "fail", "rude b": "fail", "odd": "pass"}
    rows = [
        {"id": text, "category": "tone", "prompt": "Greet", "output": text, "rubric": "is friendly", "label": label}
        for text, label in labels.items()
    ]
    (folder / "labelled.jsonl").write_text("\n".join(map(json.dumps, rows)))
    rubric = [{"type": "llm-rubric", "value": "is friendly"}]
    tests = [{"vars": {"q": word}, "assert": rubric} for word in ("polite", "rude", "odd")]
    own = {"defaultTest": {"options": {"provider": "openai:gpt-4"}}}
    (folder / "promptfooconfig.json").write_text(json.dumps({"prompts": ["{{q}}"], "tests": tests, **own}))
    by = {"grader_url": server.url, "grader_model": "judge", "allow_partial": True}
    settings = Settings(name="application", config=folder / "promptfooconfig.json", **by)
    found = evaluate(settings, endpoint(), folder / "artifacts")
    samples = {sample.input: sample for sample in read_samples(folder / "artifacts" / found.samples, "passed")}
    assert {name: sample.status for name, sample in samples.items()} == {
        "polite": "answered", "rude": "answered", "odd": "failed",
    }  # fmt: skip
    assert (samples["polite"].score, samples["rude"].score) == (1, 0)
    assert {body["model"] for body in server.chats} == {"scripted", "judge"}
    grader = found.detail["grader"]
    assert (grader["model"], grader["agreed"], grader["n"], grader["failed"]) == ("judge", 3, 4, 1)
    assert grader["kappa"] == pytest.approx(0.5)
    assert grader["differs"] == ["polite b"]
    assert grader["verdicts"] == {"fail, grader fail": 2, "fail, grader pass": 1, "pass, grader pass": 1}
    [agreement] = [metric for metric in found.others if metric.name == "grader_agreement"]
    assert (agreement.value, agreement.n) == (0.75, 4)
    assert agreement.interval.low < 0.75 < agreement.interval.high
    assert "agrees with 3 of 4 labels" in summary(found)
    assert any(
        "grader" in label.get_text() for label in passed_by_kind(found, folder / "artifacts").axes[0].get_yticklabels()
    )
    server.chat = lambda body: both(body) if body["model"] == "scripted" else {"content": "?"}
    (folder / "labelled.jsonl").write_text(json.dumps(rows[0]))
    server.chats.clear()
    with pytest.raises(EvaluationFailed, match="no verdict on any of 1 labelled answers"):
        evaluate(settings, endpoint(), folder / "artifacts")
    assert not [body for body in server.chats if body["model"] == "scripted"], "before the suite is asked"
