"""Real outputs of other tools (tests/facts/results says how each was made), copied where a test changes them."""

from __future__ import annotations

import json
import shutil

import pytest

from helpers.runtime.workspace import ROOT

FACTS = ROOT / "tests" / "facts" / "results"


class Folder:
    """A copy of one model's lm-eval folder, to be spoilt."""

    def __init__(self, path):
        self.path = path
        (self.results,) = path.glob("results_*.json")

    def log(self, task):
        (found,) = self.path.glob(f"samples_{task}_*.jsonl")
        return found

    def report(self, change):
        """Write the report again as `change` leaves it."""
        content = json.loads(self.results.read_text())
        change(content)
        self.results.write_text(json.dumps(content))

    def rows(self, task, change):
        """Write a task's log again with the rows that `change` makes of its own."""
        rows = [json.loads(line) for line in self.log(task).read_text().splitlines()]
        self.log(task).write_text("".join(json.dumps(row) + "\n" for row in change(rows)))


@pytest.fixture
def small(tmp_path):
    """SmolLM2's folder."""
    return Folder(shutil.copytree(FACTS / "lm-eval-0.4.13" / "smollm2", tmp_path / "small"))


@pytest.fixture
def large(tmp_path):
    """The folder of the model that was trained here."""
    return Folder(shutil.copytree(FACTS / "lm-eval-0.4.13" / "ops-large", tmp_path / "large"))
