"""From what promptfoo leaves to the measurement: a child in its place writes its report, and once it runs itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml

from helpers.errors import EvaluationFailed, IncompleteCoverage, NotFound, NotMeasurable, ServerChanged
from helpers.evaluation.files import named
from helpers.evaluation.promptfoo import Settings, evaluate, running, tool
from helpers.evaluation.promptfoo.rows import as_samples
from helpers.evaluation.samples import read_samples
from helpers.evaluation.told import summary
from helpers.runtime.workspace import ROOT

FACTS = ROOT / "tests" / "facts" / "results" / "promptfoo-0.121.20"
NAMES = named("application", "promptfoo")
STANDS_IN = """
import json, os, pathlib, sys, urllib.request
given = dict(zip(sys.argv, sys.argv[1:]))
provider = json.loads(pathlib.Path(given["-r"].removeprefix("file://")).read_text())
told = {"provider": provider, "environment": dict(os.environ), "arguments": sys.argv[1:]}
report = pathlib.Path(REPORT).read_text()
body = json.dumps({"model": "scripted", "messages": []}).encode()
key = "Bearer " + os.environ[provider["config"]["apiKeyEnvar"]]
headers = {"Authorization": key, "Content-Type": "application/json"}
asked = urllib.request.Request(provider["config"]["apiBaseUrl"] + "/chat/completions", body, headers)
told["answer"] = json.loads(urllib.request.urlopen(asked).read())
print("TOLD " + json.dumps(told), file=sys.stderr)
ENDING
pathlib.Path(given["-o"]).write_text(report)
"""


@pytest.fixture
def suite(tmp_path):
    """Settings of a small suite."""
    folder = tmp_path / "suite"
    folder.mkdir()
    provider = {"id": "openai:gpt-4", "config": {"temperature": 0.5, "apiKey": "mine", "stop": ["END"]}}
    test = {"vars": {"q": "a"}, "assert": [{"type": "equals", "value": "b"}]}
    about = {"prompts": ["{{q}}"], "providers": [provider], "tests": [test]}
    (folder / "promptfooconfig.yaml").write_text(yaml.safe_dump(about))

    def made(**more):
        return Settings(**{"name": "application", "config": folder / "promptfooconfig.yaml", **more})

    return made


@pytest.fixture
def stand_in(tmp_path, monkeypatch, server):
    """Let a Python script run in promptfoo's place: it asks once, and leaves the report that `change` makes."""
    server.chat = lambda body: {"content": "yes"}
    place = tmp_path / "promptfoo"
    script = Path(*tool.Tool(Path(), place).command[1:])
    script.parent.mkdir(parents=True)
    (place / tool.PACKAGE / "package.json").write_text('{"version": "0.121.20"}')
    monkeypatch.setattr(tool, "PLACES", (place,))
    monkeypatch.setattr(tool.shutil, "which", lambda name: sys.executable)
    tool.versions.cache_clear()

    def made(change=lambda rows: None, ending=""):
        content = json.loads((FACTS / "ops-large.json").read_text())
        change(content["results"]["results"])
        (place / "report.json").write_text(json.dumps(content))
        text = STANDS_IN.replace("REPORT", repr(str(place / "report.json"))).replace("ENDING", ending)
        script.write_text(text)

    made()
    yield made
    tool.versions.cache_clear()


def told(folder):
    line = next(line for line in (folder / NAMES.log).read_text().splitlines() if line.startswith("TOLD "))
    return json.loads(line.removeprefix("TOLD "))


def test_the_share_of_tests_that_passed_with_what_passed_of_each(suite, stand_in, endpoint, tmp_path):
    found = evaluate(suite(), endpoint(), tmp_path / "artifacts")
    stats = json.loads((FACTS / "ops-large.json").read_text())["results"]["stats"]
    assert (found.tier, found.evaluator, found.metric, found.subject) == ("application", "promptfoo", "passed", "suite")
    assert (found.correct, found.n) == (stats["successes"], stats["successes"] + stats["failures"])
    assert found.interval.low < found.score < found.interval.high
    assert [metric.name for metric in found.others] == ["assertions"]
    assert found.others[0].value > found.score, "a test of two assertions of which one passed"
    assert found.detail["assertions"]["javascript"]["passed"] + found.detail["assertions"]["javascript"]["failed"] == 12
    assert found.versions["promptfoo"] == "0.121.20"
    assert (tmp_path / "artifacts" / found.raw["results"]).stat().st_size
    samples = read_samples(tmp_path / "artifacts" / found.samples, "passed")
    imported = as_samples(json.loads((FACTS / "ops-large.json").read_text())["results"]["results"], "passed")
    assert [sample.id for sample in samples] == [sample.id for sample in imported], "pairs with an imported run"
    assert not found.trial
    assert evaluate(suite(limit=12), endpoint(), tmp_path / "artifacts").trial


def test_the_child_asks_through_a_process_that_adds_the_key(suite, stand_in, server, endpoint, tmp_path, monkeypatch):
    server.key = "sesame"
    monkeypatch.setenv("ENDPOINT_API_KEY", "sesame")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    evaluate(suite(max_tokens=77, num_concurrent=3), endpoint(), tmp_path / "artifacts")
    said = told(tmp_path / "artifacts")
    options = said["provider"]["config"]
    assert said["answer"]["choices"][0]["message"]["content"] == "yes"
    assert "sesame" not in json.dumps(said)
    assert (options["max_tokens"], options["temperature"], options["stop"]) == (77, 0.5, ["END"])
    assert (said["provider"]["id"], "apiKey" in options) == ("openai:chat:scripted", False)
    assert said["arguments"][said["arguments"].index("-j") + 1] == "3"
    assert not {"HTTPS_PROXY", "ENDPOINT_API_KEY"} & set(said["environment"])
    assert said["environment"]["HOME"] == said["environment"]["PROMPTFOO_CONFIG_DIR"] != str(Path.home())
    assert not Path(said["environment"]["HOME"]).exists(), "nothing is left"


def test_another_model_grades_and_never_the_one_that_is_measured(suite, stand_in, server, endpoint, tmp_path):
    by = {"grader_url": "http://127.0.0.1:9", "grader_model": "judge"}
    found = evaluate(suite(**by), endpoint(), tmp_path / "artifacts")
    assert found.detail["grader"] == {"model": "judge"}
    assert "nobody has checked it" in summary(found)
    assert "--grader" in told(tmp_path / "artifacts")["arguments"]
    with pytest.raises(NotMeasurable, match="would grade itself"):
        evaluate(suite(grader_url=f"{server.url}/", grader_model="scripted"), endpoint(), tmp_path / "artifacts")


def _errors(rows):
    rows[0].update(failureReason=2, error="500 Internal Server Error", success=False, score=0, response=None)


def _grader(rows):
    rows[0]["gradingResult"]["componentResults"][0].update(reason="Could not extract JSON", **{"pass": False})
    rows[0].update(success=False)


def _pattern(rows):
    rows[0]["gradingResult"]["componentResults"][0].update(reason="Invalid regex pattern: (?i)", **{"pass": False})


def _marked(rows):
    rows[0]["gradingResult"]["componentResults"][0]["metadata"] = {"graderError": True}


@pytest.mark.parametrize("change", [_errors, _grader, _pattern, _marked])
def test_what_nobody_could_judge_is_no_failure_of_the_model(change, suite, stand_in, endpoint, tmp_path):
    stand_in(change)
    with pytest.raises(IncompleteCoverage, match="1 of 12"):
        evaluate(suite(), endpoint(), tmp_path / "artifacts")
    found = evaluate(suite(allow_partial=True), endpoint(), tmp_path / "artifacts")
    assert (found.failed, found.n, found.total) == (1, 11, 12)
    assert found.detail["assertions"]["javascript"]["passed"] <= 11


def test_an_answer_that_was_cut_off_or_has_no_text_is_none(suite, stand_in, endpoint, tmp_path):
    def change(rows):
        rows[0]["response"]["finishReason"] = "length"
        rows[1]["response"]["output"] = " "

    stand_in(change)
    found = evaluate(suite(), endpoint(), tmp_path / "artifacts")
    assert (found.truncated, found.empty, found.n) == (1, 1, 10)


@pytest.mark.parametrize(
    ("change", "ending", "said"),
    [
        (lambda rows: rows.clear(), "", "left no whole report"),
        (lambda rows: rows[0].pop("prompt"), "", "is not as promptfoo"),
        (lambda rows: rows[0].update(testCase=[1]), "", "is not as promptfoo"),
        (lambda rows: None, "sys.exit(0)", "left no whole report"),
        (lambda rows: None, "sys.exit('config is wrong')", "promptfoo ended with exit code 1.*config is wrong"),
        (lambda rows: None, "os.symlink('/etc/passwd', given['-o']); sys.exit(0)", "left no whole report"),
        (lambda rows: None, "import time; time.sleep(60)", "promptfoo was ended after 2 s"),
    ],
    ids=["no tests", "a field", "another form", "nothing", "an error", "a link", "no end"],
)
def test_a_run_that_left_no_whole_report_is_a_failure(change, ending, said, suite, stand_in, endpoint, tmp_path):
    stand_in(change, ending)
    with pytest.raises(EvaluationFailed, match=said):
        evaluate(suite(time_limit=2 if "sleep" in ending else 60), endpoint(), tmp_path / "artifacts", show=list)
    assert not (tmp_path / "artifacts" / NAMES.samples).exists()


def test_what_another_server_answered_counts_for_nothing(suite, stand_in, endpoint, tmp_path):
    class Guard:
        looks = 0

        def check(self):
            self.looks += 1
            if self.looks > 1:
                raise ServerChanged("another one", do="deploy again")

    with pytest.raises(ServerChanged):
        evaluate(suite(), endpoint(), tmp_path / "artifacts", guard=Guard())
    assert not list((tmp_path / "artifacts").glob("*.json*"))


def test_without_promptfoo_nothing_is_asked_and_the_next_step_is_said(suite, server, endpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(tool, "PLACES", (tmp_path,))
    tool.versions.cache_clear()
    with pytest.raises(NotFound) as caught:
        evaluate(suite(), endpoint(), tmp_path / "artifacts")
    assert "make .tools/promptfoo" in caught.value.do
    assert server.chats == []


def test_all_that_leads_elsewhere_is_off():
    assert {"DISABLE_TELEMETRY", "DISABLE_UPDATE", "DISABLE_REMOTE_GENERATION", "DISABLE_SHARING"} <= set(running.OFF)
