"""A verdict from folders that other tools wrote: the same as by Assay's own stage, weaker without answers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from helpers.analysis.__main__ import main
from helpers.analysis.gate.exits import NOT_JUDGED
from helpers.analysis.imported import judge_all
from helpers.artifacts import Evaluation
from helpers.datasets.criteria import DEFAULT, load_criteria
from helpers.evaluation.samples import read_answers
from helpers.records.imports import read_all
from helpers.runtime.workspace import ROOT
from helpers.statistics import compare

FACTS = ROOT / "tests" / "facts" / "results"
SMALL, LARGE = (FACTS / "lm-eval-0.4.13" / name for name in ("smollm2", "ops-large"))
OPS = "ops_assistant"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the command; returns its code, and its output as JSON or as text."""
    monkeypatch.chdir(tmp_path)

    def told(*arguments, as_json=True):
        code = main([*map(str, arguments), *(["--json"] if as_json else [])])
        out = capsys.readouterr()
        return code, json.loads(out.out) if as_json and out.out else out.out + out.err

    return told


def own(name):
    """The same questions, measured by Assay's own stage on the same server."""
    folder = FACTS / "own" / name
    evaluation = Evaluation.read_named("knowledge", folder)
    return evaluation, read_answers(folder / evaluation.samples, evaluation.metric)


def copied(source, folder, *, samples=True):
    shutil.copytree(source, folder)
    for log in () if samples else folder.glob("samples_*"):
        log.unlink()
    return folder


def test_the_verdict_is_that_of_the_own_stage_on_the_same_questions():
    (small, mine), (large, theirs) = own("smollm2"), own("ops-large")
    keys = sorted(mine.keys() & theirs.keys())
    clusters = [mine[key].cluster for key in keys]
    expected = compare([theirs[key].score for key in keys], [mine[key].score for key in keys], clusters=clusters)
    comparison = judge_all(read_all([str(SMALL), str(LARGE)]), load_criteria(DEFAULT)).comparison
    rows = {row.label: row for row in comparison.standings}
    assert rows["smollm2-135m-instruct"].interval == small.interval
    assert (rows["ops-large"].accuracy, rows["ops-large"].n) == (large.score, large.n)
    (pair,) = comparison.pairs
    found = pair.paired if pair.first == "ops-large" else None
    assert (found.verdict, found.n, found.flips) == (expected.verdict, expected.n, expected.flips)
    assert (found.p_value, found.interval) == (expected.p_value, expected.interval)


def test_the_command_says_what_to_do_and_leaves_a_report(run, tmp_path):
    code, told = run(SMALL, LARGE)
    assert code == 0
    assert told["decision"]["action"] == "weigh"  # one is better in knowledge, the other one in sums
    assert {row["name"] for row in told["measurements"]} == {OPS, "sums"}
    page = (tmp_path / "assay-report" / "report.html").read_text()
    assert told["decision"]["sentence"].partition(":")[0] in page
    assert "smollm2-135m-instruct" in page
    code, text = run(SMALL, LARGE, "--out", "there", as_json=False)
    assert (code, (tmp_path / "there" / "report.html").is_file()) == (0, True)
    assert text.startswith(told["decision"]["sentence"])


def test_better_on_one_task_and_open_on_the_other_is_taken_for_now(run, tmp_path):
    """SmolLM2 with the large model's answers to one task: the other task is answered alike."""
    mixed = copied(SMALL, tmp_path / "mixed")
    (log,), (report,) = mixed.glob(f"samples_{OPS}_*"), mixed.glob("results_*")
    (better,), (source,) = LARGE.glob(f"samples_{OPS}_*"), LARGE.glob("results_*")
    shutil.copy(better, log)
    content, other = json.loads(report.read_text()), json.loads(source.read_text())
    content["results"][OPS] = other["results"][OPS]
    report.write_text(json.dumps(content))
    _, told = run(f"small={SMALL}", f"mixed={mixed}")
    decision = told["decision"]
    assert (decision["action"], decision["recommended"], decision["sure"]) == ("take", "mixed", False)


def test_of_several_tasks_that_counts_which_the_criteria_weigh(run, tmp_path):
    criteria = tmp_path / "criteria.yaml"
    criteria.write_text("ops_assistant.acc: {weight: 1}\n")
    _, told = run(SMALL, LARGE, "--criteria", criteria)
    assert told["decision"]["recommended"] == "ops-large"
    assert told["decision"]["options"][0]["n"] == 36


@pytest.mark.parametrize(
    ("candidate", "tolerance", "code"),
    [(SMALL, 0.01, 1), (LARGE, 0.2, 0), (None, 0.01, 2)],
    ids=["worse", "same", "without answers"],
)
def test_the_gate_s_exit_codes(run, tmp_path, candidate, tolerance, code):
    """The large model's folder is the baseline: the small one loses, itself passes, and few answers leave it open."""
    criteria = tmp_path / "criteria.yaml"
    criteria.write_text(f"ops_assistant.acc: {{tolerance: {tolerance}}}\n")
    if candidate is None:
        candidate = copied(LARGE, tmp_path / "bare", samples=False)
    found, told = run("--baseline", f"main={LARGE}", "--criteria", criteria, f"new={candidate}")
    assert found == code
    assert told["gate"][0]["state"] == {0: "pass", 1: "fail", 2: "inconclusive"}[code]
    assert (tmp_path / "assay-report" / "gate.md").is_file()


@pytest.mark.parametrize(
    "given", [[SMALL], ["nowhere", SMALL], ["--baseline", SMALL, LARGE], ["--no-such", SMALL, LARGE]]
)
def test_what_cannot_be_judged_has_a_code_of_its_own(run, given):
    try:
        code, _ = run(*given, as_json=False)
    except SystemExit as ended:
        code = ended.code
    assert code == NOT_JUDGED


def test_two_scores_without_answers_are_tested_unpaired_and_give_no_recommendation(run, tmp_path):
    bare = [copied(each, tmp_path / each.name, samples=False) for each in (SMALL, LARGE)]
    code, told = run(*bare)
    assert (code, told["decision"]) == (0, None)
    rows = {row["name"]: row for row in told["measurements"]}
    assert "unpaired" in rows[OPS]["test"]
    assert [cell["n"] for cell in rows[OPS]["cells"]] == [36, 36]


def test_what_was_asked_otherwise_stands_apart_with_the_reason(run, tmp_path):
    other = copied(LARGE, tmp_path / "other")
    (report,) = other.glob("results_*")
    content = json.loads(report.read_text())
    content["versions"][OPS] = 2.0
    report.write_text(json.dumps(content))
    _, told = run(SMALL, other)
    assert any("another task version" in note for note in told["notes"])
    assert told["decision"]["options"][0]["n"] == 24  # the other task alone is compared


def other_version_of_all(folder):
    other = copied(LARGE, folder)
    (report,) = other.glob("results_*")
    content = json.loads(report.read_text())
    content["versions"] = dict.fromkeys(content["versions"], 2.0)
    report.write_text(json.dumps(content))
    return other


def test_where_nothing_was_asked_alike_nothing_is_recommended_and_the_gate_stays_open(run, tmp_path):
    other, criteria = other_version_of_all(tmp_path / "other"), tmp_path / "criteria.yaml"
    criteria.write_text("ops_assistant.acc: {tolerance: 0.2}\n")
    code, told = run(SMALL, other)
    assert (code, told["decision"]) == (0, None)
    assert sum("another task version" in note for note in told["notes"]) == 2
    code, told = run("--baseline", SMALL, "--criteria", criteria, other)
    assert (code, told["gate"][0]["state"]) == (2, "inconclusive")


def test_a_fault_of_the_command_is_no_verdict(run, monkeypatch):
    monkeypatch.setattr("helpers.analysis.__main__.judge_all", lambda *_: 1 / 0)
    code, _ = run(SMALL, LARGE, as_json=False)
    assert code == NOT_JUDGED


def test_who_reads_no_further_ends_it_as_ever(run, monkeypatch):
    def broken(*_):
        raise BrokenPipeError

    monkeypatch.setattr("helpers.analysis.__main__.judge_all", broken)
    with pytest.raises(BrokenPipeError):
        run(SMALL, LARGE)


def test_a_task_s_name_neither_steers_the_terminal_nor_writes_the_gate_s_report(run, tmp_path):
    other, criteria = other_version_of_all(tmp_path / "other"), tmp_path / "criteria.yaml"
    criteria.write_text("ops_assistant.acc: {tolerance: 0.2}\n")
    for folder in (copied(SMALL, tmp_path / "one"), other):
        (report,) = folder.glob("results_*")
        report.write_text(report.read_text().replace('"sums"', '"\\u001b[31m<b>sums"'))
    _, text = run(tmp_path / "one", other, as_json=False)
    assert "\x1b" not in text
    _, text = run("--baseline", tmp_path / "one", "--criteria", criteria, other, as_json=False)
    assert "\x1b" not in text
    assert "<b>" not in (tmp_path / "assay-report" / "gate.md").read_text()


def test_speeds_are_judged_where_hardware_and_noise_are_known(run):
    both = [FACTS / "guidellm-0.8.1" / f"{name}.json" for name in ("smollm2", "ops-large")]
    _, unknown = run(*both, as_json=False)
    assert "unknown is the hardware of smollm2-135m-instruct, ops-large" in unknown
    _, told = run(*both, "--hardware", "cpu:2")
    rows = {row["metric"]: row for row in told["measurements"]}
    assert rows["ttft_p95_ms"]["test"] == "Welch"
    assert rows["ttft_p95_ms"]["load"] == pytest.approx(3, rel=0.1)
    once = FACTS / "guidellm-0.5.3" / "ops-large.json"
    _, text = run(f"new={both[1]}", f"old={once}", "--hardware", "cpu:2", as_json=False)
    assert "one run knows no noise, and old has no more" in text


def test_quality_and_speed_from_folders_with_both_are_weighed_together(run, tmp_path):
    for name in ("smollm2", "ops-large"):
        shutil.copytree(FACTS / "lm-eval-0.4.13" / name, tmp_path / name)
        shutil.copy(FACTS / "guidellm-0.8.1" / f"{name}.json", tmp_path / name / "load.json")
    criteria = tmp_path / "criteria.yaml"
    criteria.write_text("ops_assistant.acc: {weight: 4}\nchat.ttft_p95_ms: {weight: 1}\n")
    _, told = run(tmp_path / "smollm2", tmp_path / "ops-large", "--hardware", "cpu:2", "--criteria", criteria)
    assert told["decision"]["recommended"] == "ops-large"
    assert told["decision"]["common_load"] == pytest.approx(3, rel=0.1)
    assert "Latency against throughput" in (tmp_path / "assay-report" / "report.html").read_text()


@pytest.mark.parametrize(
    ("new", "tolerance", "code"),
    [("smollm2", "0.3", 0), ("ops-large", "0.02", 1), ("smollm2", "0.02", 2), ("nothing", "0.02", 64)],
)
def test_the_readme_s_script_for_ci_ends_with_the_gate_s_code(tmp_path, new, tolerance, code):
    """As it stands there, but for what it installs and measures: a folder takes the place of lm-eval's run."""
    script = re.search(r"In CI the same.*?```\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    lines = [line for line in script.splitlines() if not line.startswith(("pip install", "lm_eval"))]
    assert len(script.splitlines()) == len(lines) + 2 == 5
    for name, source in (("main/results", "smollm2"), ("new", new)):
        if (SMALL.parent / source).is_dir():
            shutil.copytree(SMALL.parent / source, tmp_path / name)
    (tmp_path / "assay").write_text(f"#!{sys.executable}\nfrom helpers.analysis.__main__ import assay\nexit(assay())\n")
    (tmp_path / "assay").chmod(0o755)
    here = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    asked = "\n".join(lines).replace("gsm8k", "sums").replace("0.02", tolerance)
    done = subprocess.run(["bash", "-c", asked], cwd=tmp_path, env=here, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
