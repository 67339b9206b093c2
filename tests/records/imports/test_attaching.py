"""What another tool measured of a version stands in its record as what it is: imported, and no baseline."""

from __future__ import annotations

import pytest

from helpers.analysis.imported import read_results
from helpers.errors import InvalidInput, InvalidResults
from helpers.records import logbook
from helpers.records.imports import attach, read_source
from helpers.registry import connect
from tests.plugins.models import BASELINE, POLICY
from tests.plugins.records import CHAT, a_sweep, about, an_endpoint
from tests.records.imports.conftest import FACTS

SMALL = FACTS / "lm-eval-0.4.13" / "smollm2"


@pytest.fixture
def run(registry_server, tmp_path, monkeypatch):
    """A run's folder with a load test of its own; returns it and a function that logs it."""
    monkeypatch.setenv("ELYRA_RUN_NAME", "run-of-ada")
    registry, folder = connect("local"), tmp_path / "artifacts"
    known = {"uri": "file:///m", "digest": f"sha256:{'a' * 64}", "size_bytes": 1}
    selection = registry.register_candidate("smol", "1.0", **known)
    folder.mkdir()
    for part in (about(selection, a_sweep()), selection, an_endpoint(selection)):
        part.write(folder)
    (folder / CHAT.report).write_text("{}")
    given = {"store": str((tmp_path / "store").as_uri()), "policy": POLICY, "criteria": BASELINE}
    return folder, lambda **more: logbook.log(logbook.Settings(**given | more), registry, folder)


def test_imported_answers_are_logged_with_their_samples_and_stay_imported(run):
    folder, log = run
    attach([read_source(str(SMALL))], folder)
    record = log()
    evaluation = next(each for each in record.evaluations if each.task == "ops_assistant")
    assert all(each.imported for each in record.evaluations)
    assert evaluation.samples in record.raw
    assert attach([read_source(str(SMALL))], folder)  # a second time writes the same
    assert log().record_id == record.record_id


def test_they_are_no_baseline(run):
    folder, log = run
    attach([read_source(str(SMALL))], folder)
    with pytest.raises(InvalidInput, match="imported"):
        log(purpose="baseline")


def test_two_models_and_a_name_that_was_measured_here_are_refused(run):
    folder, _ = run
    with pytest.raises(InvalidResults, match="2 models"):
        attach(read_results(str(SMALL.parent)), folder)
    found = read_source(str(SMALL))
    own = found.measurements[0].model_copy(update={"name": "chat"})
    with pytest.raises(InvalidResults, match="chat"):
        attach([type(found)(found.model, found.place, (own,))], folder)
    attach([], folder)
    assert {path.name for path in folder.glob("*.json")} >= {"chat.json", "selection.json"}
    assert not list(folder.glob("*.samples.jsonl"))
