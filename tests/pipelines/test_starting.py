"""What an alert starts: on a cluster the newest version that was submitted, never twice; here the local runner."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from helpers import errors
from helpers.monitoring.triggers import Raised
from helpers.pipelines import starting
from tests.plugins.pipelines_api import PipelinesApi, serving_pipelines

RAISED = Raised(
    alert="TTFTMissesSLO", model="granite", version="1.0", use_case="mine", action="regression",
    since=datetime(2026, 12, 1, 9, 30, tzinfo=UTC),
)  # fmt: skip
COMPILED = json.dumps(
    {"pipelineInfo": {"name": "regression"}, "root": {"dag": {"tasks": {}}}, "deploymentSpec": {"executors": {}}}
)


@pytest.fixture
def api(tmp_path, monkeypatch):
    """A Pipelines server as a pod of a pipeline reaches it: without a token."""
    with serving_pipelines(PipelinesApi("", tmp_path)) as server:
        monkeypatch.setattr(starting, "API", server.address)
        monkeypatch.setattr(starting, "in_pod", lambda: True)
        yield server
        assert not server.errors


def test_the_newest_version_runs_once_for_a_window_and_knows_why(api):
    api._new_version("p1", "regression-1", COMPILED)
    newest = api._new_version("p1", "regression-2", COMPILED)
    api.pipelines["p1"] = {"pipeline_id": "p1", "display_name": "regression", "name": "regression"}
    run, new = starting.start(RAISED, "regression-abc")
    again, other = starting.start(RAISED, "regression-abc")
    assert (again, new, other) == (run, True, False)
    (body,) = [each.body for each in api.runs.values()]
    assert body["pipeline_version_reference"]["pipeline_version_id"] == newest["pipeline_version_id"]
    assert body["runtime_config"]["parameters"] == {
        "MODEL_NAME": "granite", "MODEL_VERSION": "1.0", "USE_CASE": "mine", "FRESH": True,
        "TRIGGER": "TTFTMissesSLO since 2026-12-01T09:30:00Z",
    }  # fmt: skip
    assert starting.start(RAISED, "regression-next")[1]
    assert len(api.experiments) == 1


def test_a_pipeline_that_nobody_submitted_is_told_and_so_is_a_server_that_refuses(api):
    with pytest.raises(errors.NotFound, match="regression"):
        starting.start(RAISED, "regression-abc")
    api.refuse("GET /pipelines/names/regression", 500, 13, "the database is away")
    with pytest.raises(errors.SubmissionFailed, match="the database is away"):
        starting.start(RAISED, "regression-abc")


def test_a_server_that_is_away_is_told(monkeypatch):
    monkeypatch.setattr(starting, "API", "http://127.0.0.1:9")
    monkeypatch.setattr(starting, "in_pod", lambda: True)
    with pytest.raises(errors.PipelinesUnreachable):
        starting.start(RAISED, "regression-abc")
