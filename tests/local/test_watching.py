"""What a person sees while a stage works: what it is at, and how long that takes yet."""

import json

import pytest

from helpers.evaluation.asking import Progress
from helpers.load_test.process import describe
from helpers.local import watching
from helpers.local.watching import Watch

LINE = "Benchmark 2 (constant@4.00): running | elapsed=3.0s | successful=7 errored=0 requests/s=2.5"


@pytest.fixture
def stage(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "notebooks").mkdir()

    def write(log="", **state):
        cells = [{"source": ["# Ask\n", "\n", "> Asks everything."]}]
        notebook = {"cells": cells, "metadata": {"papermill": state}}
        (tmp_path / "notebooks" / "ask.ipynb").write_text(json.dumps(notebook))
        (tmp_path / "logs" / "ask.log").write_text(log)

    write()
    return write


def test_the_last_line_of_the_running_stage_is_shown(stage, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(watching, "EVERY", 0.0)
    watch = Watch(["ask"], tmp_path)
    watch.look()
    assert capsys.readouterr().out == ""
    warning = "/x/auto.py:21: TqdmWarning: IProgress not found\n  from .autonotebook import tqdm\n"
    stage(f"1 of 9 answers\n2 of 9 answers\n\n{warning}", start_time="t")
    watch.look()
    shown = capsys.readouterr().out
    assert "2 of 9 answers" in shown
    assert "1 of 9 answers" not in shown
    assert shown.endswith("\n")
    stage("9 of 9 answers\n", start_time="t", end_time="t", duration=4.25)
    watch.look()
    assert capsys.readouterr().out.endswith("  ask                Asks everything.  4.2 s\n")


def test_the_time_left_is_that_of_all_loads():
    assert describe(LINE, 4, 8.0).endswith(", at most 21 s left")
    assert "left" not in describe(LINE, 4)
    assert "left" not in describe(LINE.replace("running", "completed"), 2, 8.0)


def test_the_time_left_of_questions_is_told_once_some_are_answered(capsys):
    progress = Progress(10, 30)
    assert "left" not in capsys.readouterr().out
    progress.done, progress.began = 20, progress.began - 5
    progress.line()
    assert "about 5 s left" in capsys.readouterr().out
