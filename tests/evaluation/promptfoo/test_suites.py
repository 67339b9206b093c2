"""A suite is read before anything runs: what cannot be judged here, or lies elsewhere, is refused by file and line."""

from __future__ import annotations

import itertools
import json
from collections import Counter

import pytest
import yaml

from helpers.datasets import load_use_case
from helpers.errors import InvalidDataset, InvalidParameter
from helpers.evaluation import evaluator
from helpers.evaluation.promptfoo.settings import Settings
from helpers.evaluation.promptfoo.suite import content
from helpers.runtime.workspace import ROOT

OWN = ROOT / "datasets" / "ops-assistant" / "suite"


@pytest.fixture
def suite(tmp_path):
    """Write a suite whose tests file holds `text`; returns its settings, given `more`."""

    def made(text, name="tests.yaml", settings=None, **top):
        folder = tmp_path / "suite"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text)
        about = {"prompts": ["{{q}}"], "providers": ["openai:gpt"], "tests": f"file://{name}", **top}
        (folder / "promptfooconfig.yaml").write_text(yaml.safe_dump(about))
        return Settings(name="application", config=folder / "promptfooconfig.yaml", **(settings or {}))

    return made


def test_every_file_of_the_folder_counts(suite, tmp_path):
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "judge.py").write_text("def right(output, context):\n    return True\n")
    settings = suite("- vars: {q: a}\n  assert: [{type: python, value: 'file://judge.py:right'}]\n")
    first = content(settings)
    assert set(first) == {"promptfooconfig.yaml", "tests.yaml", "judge.py"}
    (tmp_path / "suite" / "judge.py").write_text("def right(output, context):\n    return False\n")
    second = content(settings)
    assert {name for name in first if first[name] != second[name]} == {"judge.py"}
    assert settings.subject == "suite"


GRADED = "- vars: {q: a}\n  assert:\n  - {type: llm-rubric, value: is polite}\n"
GRADER = {"grader_url": "http://127.0.0.1:9", "grader_model": "judge"}


@pytest.mark.parametrize(
    ("tests", "name", "line"),
    [
        (GRADED, "tests.yaml", "tests.yaml:3"),
        ("- assert:\n  - type: not-g-eval\n    value: x\n", "tests.yaml", "tests.yaml:2"),
        ("- assert:\n  - type: assert-set\n    assert:\n    - type: factuality\n", "tests.yaml", "tests.yaml:4"),
        ('{"vars": {"q": "a"}}\n{"assert": [{"type": "llm-rubric"}]}\n', "tests.jsonl", "tests.jsonl:2"),
        ("q,__expected\na,equals: b\nc,llm-rubric: is polite\n", "tests.csv", "tests.csv, row 3"),
        ("q,__expected1\na,grade: is polite\n", "tests.csv", "tests.csv, row 2"),
    ],
    ids=["yaml", "not", "set", "lines", "table", "old name"],
)
def test_what_a_model_grades_needs_another_model(suite, tests, name, line):
    with pytest.raises(InvalidDataset, match="GRADER_MODEL") as caught:
        content(suite(tests, name))
    assert line in str(caught.value)
    assert content(suite(tests, name, GRADER))


@pytest.mark.parametrize("kind", ["similar", "not-similar", "similar:cosine", "moderation", "webhook", "pi"])
def test_what_needs_a_service_that_is_not_there_is_refused_with_a_grader_too(suite, kind):
    with pytest.raises(InvalidDataset, match=f"tests.yaml:1: type: {kind} needs a service"):
        content(suite(f"- assert: [{{type: '{kind}', value: x}}]\n", settings=GRADER))


@pytest.mark.parametrize(
    ("tests", "top", "said"),
    [
        ("- vars: {q: a}\n  provider: openai:gpt-4\n", {}, "tests.yaml:2: provider:"),
        ("- vars: {q: a}\n  options: {provider: x}\n", {}, "tests.yaml:2: provider:"),
        ("- vars: {q: file://gone.txt}\n", {}, "tests.yaml:1: file://gone.txt leads to no file"),
        ("- vars: {q: file://../mine.txt}\n", {}, "outside the suite's folder"),
        ("- vars: {q: a\n", {}, "tests.yaml: line 2: is not YAML"),
        ("[]", {"tests": ["https://example.org/tests.csv"]}, "lies elsewhere"),
        ("[]", {"tests": "gone.yaml"}, "leads to no file"),
        ("[]", {"defaultTest": {"assert": [{"type": "llm-rubric"}]}}, "promptfooconfig.yaml:3: type: llm-rubric"),
    ],
    ids=["provider", "grader", "missing", "outside", "no YAML", "remote", "no tests", "default"],
)
def test_what_cannot_run_here_is_refused_by_file_and_line(suite, tmp_path, tests, top, said):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InvalidDataset) as caught:
        content(suite(tests, **top))
    assert said in str(caught.value)


def test_a_labelled_answer_that_is_none_is_named_by_line_and_field(suite):
    given = suite("- vars: {q: a}\n")
    row = {"id": "a", "category": "c", "prompt": "p", "output": "o", "rubric": "r", "label": "pass"}
    rows = [row, row | {"id": "b", "output": "{{ x }}"}, row | {"id": "c", "rubric": "s", "label": "good"}]
    given.config.with_name("labelled.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(InvalidDataset, match=r"line 2, field output: .*; line 3, field label"):
        content(given)


def test_what_a_suite_says_of_its_own_provider_and_grader_is_no_fault(suite):
    by = {"defaultTest": {"options": {"provider": "openai:gpt-4"}}, "targets": ["openai:gpt-4"]}
    assert content(suite("- vars: {q: a}\n  assert: [{type: equals, value: b}]\n", **by))


def test_all_faults_are_told_at_once(suite):
    with pytest.raises(InvalidDataset) as caught:
        content(suite(GRADED + "- assert: [{type: similar}]\n- vars: {q: file://gone.txt}\n"))
    assert [part in str(caught.value) for part in ("tests.yaml:3", "tests.yaml:4", "tests.yaml:5")] == [True] * 3


@pytest.mark.timeout(20)
def test_a_file_of_many_references_is_read_once(suite):
    names = "abcdefghijklmnopqrstuvwxyz"
    rows = ["- &a [x, x]"] + [f"- &{new} [*{old}, *{old}]" for old, new in itertools.pairwise(names)]
    assert content(suite("\n".join(rows)))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"config": None}, "CONFIG is not given"),
        ({"system_instruction": "Be brief."}, "neither DATA nor SYSTEM_INSTRUCTION"),
        ({"grader_model": "judge"}, "both GRADER_URL and GRADER_MODEL"),
        ({"grader_model": "judge", "grader_url": "judge:80"}, "GRADER_URL"),
        ({"time_limit": 0}, "TIME_LIMIT"),
    ],
)
def test_settings_that_fit_no_suite_are_refused(more, said):
    with pytest.raises(InvalidParameter, match=said):
        Settings(**{"name": "application", "config": OWN / "promptfooconfig.yaml", **more})


def test_a_use_case_names_a_suite_and_its_folder_travels(tmp_path, suite):
    suite("- vars: {q: a}\n")
    entry = {"tier": "application", "evaluator": "promptfoo", "config": "suite/promptfooconfig.yaml"}
    about = {"name": tmp_path.name, "description": "mine", "evaluations": {"application": entry}}
    (tmp_path / "use-case.yaml").write_text(json.dumps(about))
    found = load_use_case(tmp_path)
    assert {"suite/promptfooconfig.yaml", "suite/tests.yaml"} < set(found.digests())
    assert found.evaluations["application"].subject == "suite"
    checked = evaluator.check("promptfoo", "application", found.evaluation("application"))
    assert checked.subject == "suite"
    about["evaluations"]["application"]["config"] = "s3://bucket/suite/promptfooconfig.yaml"
    (tmp_path / "use-case.yaml").write_text(json.dumps(about))
    with pytest.raises(InvalidDataset, match="a suite is a folder"):
        load_use_case(tmp_path)


def test_the_shipped_suite_is_sound():
    assert content(Settings(name="application", config=OWN / "promptfooconfig.yaml"))
    files = (OWN / f"{name}.yaml" for name in ("answers", "formats", "limits"))
    tests = [test for path in files for test in yaml.safe_load(path.read_text())]
    assert len(tests) >= 40
    assert len({test["description"] for test in tests}) == len(tests)
    assert len({test["vars"]["question"] for test in tests}) == len(tests)
    kinds = Counter(each["type"] for test in tests for each in test["assert"])
    assert {"is-json", "contains", "icontains", "not-contains", "regex", "javascript"} <= set(kinds)
    assert not [each for test in tests for each in test["assert"] if str(each.get("value")).startswith("(?")]
