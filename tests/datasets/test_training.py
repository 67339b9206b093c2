"""Examples that a model is tuned on: read in the forms that people have them in, refused with line and field."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from helpers.datasets import load_use_case
from helpers.datasets.training import load_examples
from helpers.errors import InvalidDataset
from helpers.runtime.workspace import ROOT

OWN = ROOT / "datasets" / "ops-assistant"
ASKED = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}]


def written(tmp_path, *rows):
    path = tmp_path / "examples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    "row",
    [
        {"messages": ASKED},
        {"prompt": "Why?", "completion": "Because."},
        {"prompt": ASKED[:1], "completion": ASKED[1:]},
    ],
    ids=["messages", "texts", "conversational"],
)
def test_the_forms_that_trl_takes_are_one_conversation(row, tmp_path):
    [example] = load_examples(written(tmp_path, row))
    assert example.turns == ASKED
    assert (example.id, example.category) == ("row-1", "examples")


def test_every_bad_row_is_told_with_its_line_and_field(tmp_path):
    twice = {"role": "user", "content": "And?"}
    path = written(
        tmp_path, {"messages": [twice, *ASKED]}, {"messages": []}, {"messages": ASKED[:1]}, {"prompt": "Why?"},
        {"id": "a", "messages": ASKED}, {"id": "a", "messages": ASKED},
        {"messages": [ASKED[0], {**ASKED[1], "content": ""}]},
    )  # fmt: skip
    with pytest.raises(InvalidDataset) as refused:
        load_examples(path)
    told = str(refused.value)
    assert all(f"line {number}" in told for number in (1, 2, 3, 4, 6, 7))
    assert "line 5, field" not in told
    assert "field id" in told


def test_the_shipped_examples_are_what_their_script_makes_of_the_handbook():
    path = OWN / "tuning" / "examples.jsonl"
    made = subprocess.run(
        [sys.executable, "-c", "import examples; print(*examples.rows(), sep='\\n')"],
        cwd=path.parent, capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    assert path.read_text() == made
    assert len(load_examples(path)) == 557


def test_a_use_case_says_what_tuning_learns_from():
    assert load_use_case(OWN).tuning() == {
        "training_data": str(OWN / "tuning" / "examples.jsonl"), "replay": str(OWN / "tuning" / "replay.jsonl"),
        "turns": 6,
    }  # fmt: skip
    with pytest.raises(InvalidDataset, match="training"):
        load_use_case(ROOT / "datasets" / "baseline").tuning()
