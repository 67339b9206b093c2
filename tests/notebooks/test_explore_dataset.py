"""The notebook that looks at the data, as papermill runs it: with answers of versions, and where it must stop."""

from __future__ import annotations

import shutil

import pytest
from papermill.exceptions import PapermillExecutionError

from helpers.artifacts import Dataset
from helpers.registry import connect
from helpers.runtime.workspace import ROOT
from tests.plugins.kernels import execute
from tests.plugins.records import a_record, a_sample, questions
from tests.plugins.stored import attach, stored

NOTEBOOK = ROOT / "notebooks" / "explore_dataset.ipynb"
WRONG = {"a": {0, 1}, "b": {0, 2}, "c": {0, 3}}  # questions by their places, of 208


@pytest.fixture
def workspace(tmp_path, registry_server):
    """A folder with the use case, and three versions that have answered its questions."""
    shutil.copytree(ROOT / "datasets" / "ops-assistant", tmp_path / "datasets" / "ops-assistant")
    registry = connect(registry_server.address)
    for name, wrong in WRONG.items():
        log = [a_sample(place, question, place not in wrong) for place, question in enumerate(questions(208))]
        log[0] = log[0].model_copy(update={"output": "a Job"})
        attach(registry, *stored(a_record(name, samples=log), log, tmp_path / "store"))

    def run():
        given = {"registry": registry_server.address}
        execute(NOTEBOOK, tmp_path / "executed.ipynb", parameters=given, cwd=tmp_path)
        return Dataset.read(tmp_path / "artifacts")

    run.folder = tmp_path
    return run


def test_the_artifact_holds_what_texts_and_measured_versions_say(workspace):
    found, ids = workspace(), [each["id"] for each in questions(208)]
    assert len(found.rows("overlap")) == 9
    assert found.rows("doubtful_label") == (ids[0],)
    assert set(found.rows("tells_nothing")) == {ids[0], *ids[4:]}
    assert not [what for what in found.absent if what.endswith("of knowledge")]


def test_more_than_the_use_case_allows_ends_it_after_the_artifact_is_written(workspace):
    file = workspace.folder / "datasets" / "ops-assistant" / "use-case.yaml"
    file.write_text(file.read_text().replace("overlap: 9", "overlap: 8"))
    with pytest.raises(PapermillExecutionError) as red:
        workspace()
    assert red.value.ename == "DatasetRefused"
    assert "overlap: 9, 8 allowed" in red.value.evalue
    assert Dataset.read(workspace.folder / "artifacts").count("overlap") == 9
