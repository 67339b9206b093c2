"""General prompts that a tuned model must still answer: each row's check, and what it takes for an answer."""

from __future__ import annotations

import importlib.util
import json

import pytest

from helpers.datasets import load_prompts
from helpers.runtime.workspace import ROOT

FOLDER = ROOT / "datasets" / "ops-assistant"
ROWS = [json.loads(line) for line in (FOLDER / "retention" / "prompts.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def rules():
    spec = importlib.util.spec_from_file_location("retention_rules", FOLDER / "retention" / "rules.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_sixty_prompts_that_no_model_here_is_tuned_on():
    learned = {prompt.prompt for prompt in load_prompts(FOLDER / "tuning" / "replay.jsonl")}
    assert len({row["prompt"] for row in ROWS}) == 60
    assert not learned & {row["prompt"] for row in ROWS}
    assert all(len(row["check"]) == 1 for row in ROWS)


@pytest.mark.parametrize(
    ("check", "text", "right"),
    [
        ({"any": ["Paris"]}, "The capital is Paris.", 1),
        ({"any": ["Paris"]}, "Comparison is hard.", 0),
        ({"any": ["H2O", "H\u2082O"]}, "It is H\u2082O.", 1),
        ({"all": ["bread", "butter"]}, "Bread, then butter.", 1),
        ({"all": ["bread", "butter"]}, "Bread alone.", 0),
        ({"items": 3}, "1. Apples\n2. Pears\n3. Plums", 1),
        ({"items": 3}, "Three fruits are: apples, pears and plums.", 1),
        ({"items": 3}, "Apples.", 0),
        ({"items": 3}, "", 0),
        ({"words": 5}, "It is a small town.", 1),
        ({"words": 5}, "A DaemonSet.", 0),
        ({"any": ["green"], "all": None}, "Green.", 1),
    ],
)
def test_an_answer_is_held_to_its_rows_check(rules, check, text, right):
    assert rules.kept({"check": check}, [text]) == {"acc": right}
