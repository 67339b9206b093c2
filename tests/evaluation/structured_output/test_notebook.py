"""The notebook as papermill runs it, and its figure."""

from __future__ import annotations

import pytest

from helpers.artifacts import Evaluation, NotMeasured
from helpers.reporting.plots.formats import unaided_and_constrained
from helpers.runtime.workspace import ROOT
from tests.evaluation.structured_output.conftest import CUT_OFF, ROWS
from tests.plugins.kernels import execute

NOTEBOOK = ROOT / "notebooks" / "structured_output.ipynb"


@pytest.fixture
def stage(tmp_path, endpoint, monkeypatch):
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))

    def run(**given):
        endpoint().write(tmp_path / "artifacts")
        given = {"use_case": "nobodys", "registry": "http://127.0.0.1:9", **given}
        execute(NOTEBOOK, tmp_path / "executed.ipynb", parameters=given, cwd=tmp_path)
        return tmp_path / "artifacts"

    return run


@pytest.mark.load
def test_the_notebook_measures_the_rows_it_is_given(stage, answers, rows):
    answers.unaided = {0: "Zero."}
    artifacts = stage(data=str(rows()), num_concurrent=2)
    found = Evaluation.read_named("formatting", artifacts)
    assert (found.tier, found.n, found.detail["unaided"]) == ("format", ROWS, {"no JSON": 1, "valid": ROWS - 1})
    assert len((artifacts / found.samples).read_text().splitlines()) == ROWS


@pytest.mark.load
def test_the_notebook_runs_through_where_nobody_asked_for_it(stage, server):
    artifacts = stage()
    assert "nobodys" in NotMeasured._read(artifacts, "formatting.json").why
    assert (artifacts / "formatting.samples.jsonl").read_bytes() == b""
    assert not server.chats


def test_the_figure_shows_how_many_ended_in_each_category(measure, answers):
    answers.unaided = dict.fromkeys((1, 3, 5), CUT_OFF)
    found = measure()
    shares, became = unaided_and_constrained(found, measure.folder).axes
    assert [label.get_text() for label in shares.get_yticklabels()] == ["all rows", "even", "odd"]
    assert [text.get_text() for text in shares.texts] == [
        "n = 3",
        "n = 3",
        "n = 0: none ended",
        "n = 6",
        "n = 3",
        "n = 3",
    ]
    assert [text.get_text() for text in became.texts] == ["3", "3", "6"]


def test_there_is_no_figure_of_what_is_not_measured():
    assert unaided_and_constrained(NotMeasured(name="formatting", why="nobody asked")) is None
