"""Results that a record holds already are not logged twice; a decision is made all the same."""

from __future__ import annotations

import shutil

import pytest

from helpers import storage
from helpers.artifacts import Record
from helpers.records import reuse
from tests.plugins.models import POLICY
from tests.records.reuse.conftest import measured


@pytest.fixture
def again(recorded, tmp_path):
    """A folder into which both results were taken over, for a server that was started anew."""
    folder, silent = tmp_path / "again", [].append
    known, restarted = recorded.known, recorded.endpoint.model_copy(update={"startup_seconds": 1.0})
    reuse.sweep(recorded.load, restarted, known, folder, silent).write(folder)
    reuse.evaluate(recorded.task, restarted, known, folder, silent).write(folder)
    recorded.selection.write(folder)
    restarted.write(folder)
    return folder


def state(recorded):
    return (
        recorded.registry.records(),
        recorded.registry.versions(),
        storage.sizes((recorded.folder / "store").as_uri()),
    )


def test_the_record_stands_and_nothing_is_written(recorded, again, capsys):
    before = state(recorded)
    assert recorded.log(again) == recorded.record
    assert state(recorded) == before
    assert f"Record {recorded.record.record_id} of ops-small 1.0.0 holds these results" in capsys.readouterr().out
    assert (again / "catalog.zip").stat().st_size, "a pipeline's node hands it on"


def test_a_decision_is_made_all_the_same(recorded, again):
    baseline = recorded.log(again, purpose="baseline")
    record = recorded.log(again, purpose="baseline", decide_approval=True, policy=POLICY)
    assert record.record_id == baseline.record_id
    (decision,) = recorded.registry.decisions(recorded.selection.model_version_id)
    assert (decision.state, decision.record_digest) == (record.approval.state, baseline.digest)
    assert len(recorded.registry.records()) == 2


@pytest.mark.parametrize(
    "changes", [{"purpose": "baseline"}, {"use_case": "support"}], ids=lambda item: next(iter(item))
)
def test_another_purpose_or_use_case_gets_a_record_of_its_own(recorded, again, changes):
    assert recorded.log(again, **changes).record_id != recorded.record.record_id
    assert len(recorded.registry.records()) == 2


def test_a_version_with_the_same_files_gets_a_record_of_its_own(recorded, again):
    twin = recorded.registry.register_candidate(
        "ops-small", "2.0.0", uri="file:///m", digest=recorded.selection.digest, size_bytes=1
    )
    twin.write(again)
    assert recorded.log(again).selection.version == "2.0.0"
    assert len(recorded.registry.records("ops-small", "2.0.0")) == 1


def test_what_was_measured_anew_is_logged_anew(recorded, tmp_path):
    measured(tmp_path / "fresh", recorded.selection, recorded.endpoint, recorded.load, recorded.task, share=0.8)
    assert recorded.log(tmp_path / "fresh").record_id != recorded.record.record_id
    assert len(recorded.registry.records()) == 2


def test_another_confidence_is_logged_anew(recorded, again, tmp_path):
    task = recorded.task.model_copy(update={"confidence": 0.99})
    reuse.evaluate(task, recorded.endpoint, recorded.known, again, [].append).write(again)
    assert recorded.log(again).evaluation.interval.confidence == 0.99
    assert len(recorded.registry.records()) == 2


def test_a_record_whose_files_are_lost_does_not_stand(recorded, again):
    shutil.rmtree(recorded.folder / "store")
    record = recorded.log(again)
    assert record.record_id != recorded.record.record_id
    assert all(storage.exists(uri) for uri in record.raw.values())
    assert Record.model_validate_json(storage.get(recorded.registry.records()[-1].uri)) == record
