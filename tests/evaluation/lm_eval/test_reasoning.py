"""Ten options for each question of the operations assistant, and how its letters are read from a text."""

from __future__ import annotations

from collections import Counter

import pytest
import yaml
from lm_eval.filters.extraction import RegexFilter

from helpers.datasets import load_questions
from helpers.runtime.workspace import ROOT

FOLDER = ROOT / "datasets" / "ops-assistant"


@pytest.fixture(scope="module")
def load():
    found: dict = {"__file__": str(FOLDER / "reasoning.py")}
    exec(compile((FOLDER / "reasoning.py").read_text(), "reasoning.py", "exec"), found)
    return lambda seed: found["load"](metadata={"seed": seed})


def test_the_right_option_is_the_question_s_own_and_stands_anywhere(load):
    own = {row.id: row for row in load_questions(FOLDER / "ops_assistant.jsonl")}
    found = load(1)["test"]
    assert len(found) == len(own)
    for row in found:
        options = [line[4:] for line in row["lettered"].split("\n")]
        assert len(set(options)) == 10
        known = own[row["id"]]
        assert options[row["letters"].index(row["target"])] == known.choices[known.answer]
        assert set(known.choices) <= set(options)
    targets = Counter(row["target"] for row in found)
    assert set(targets) == set("ABCDEFGHIJ")
    assert max(targets.values()) < len(found) / 5


def test_the_seed_places_the_options_and_the_same_seed_places_them_alike(load):
    first, again, other = (list(load(seed)["test"]["lettered"]) for seed in (1, 1, 2))
    assert first == again
    assert sum(one == two for one, two in zip(first, other, strict=True)) < 5


def test_no_worked_example_is_a_question_of_the_task(load):
    found = load(1)
    assert not set(found["examples"]["question"]) & set(found["test"]["question"])
    assert all(row["worked"] for row in found["examples"])


@pytest.mark.parametrize(
    ("text", "strict", "loose", "last"),
    [
        ("It keeps a name. The answer is (C).", "C", "C", "C"),
        ("So the answer is: **C**", "", "C", "C"),
        ("Answer: C", "", "C", "C"),
        ("(C) is the one", "", "", "C"),
        ("I do not know.", "", "", ""),
        ("The answer is (B). No: the answer is (C).", "B", "C", "C"),
    ],
)
def test_each_filter_reads_what_it_says(text, strict, loose, last):
    task = yaml.load((FOLDER / "reasoning.yaml").read_text().replace("!function", ""), yaml.SafeLoader)
    patterns = {each["name"]: each["filter"][0] for each in task["filter_list"]}
    for name, expected in (("strict", strict), ("loose", loose), ("last", last)):
        known = patterns[name]
        read = RegexFilter(known["regex_pattern"], group_select=known["group_select"], fallback="")
        assert read.apply([[text]], [{}]) == [[expected]]
