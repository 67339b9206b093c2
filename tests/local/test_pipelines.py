"""A local run is local wherever it is started, in a workbench on a cluster too."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from helpers.analysis.recommendation import Decision
from helpers.artifacts import Approval
from helpers.datasets import load_use_case
from helpers.datasets.criteria import LATENCY, load_criteria
from helpers.errors import InvalidInput
from helpers.ingestion.policy import load_policy
from helpers.ingestion.sealing.keys import private_key
from helpers.local.pipelines import local_environment
from helpers.local.run_pipeline import headline
from helpers.pipelines import Pipeline, names
from helpers.runtime.keys import make_own_keys
from helpers.runtime.workspace import ROOT
from tests.plugins.models import BASELINE, POLICY
from tests.plugins.records import a_record


@pytest.mark.parametrize("name", names())
def test_auto_becomes_this_machine_and_nothing_else_changes(name):
    shipped = Pipeline(name).environment({})
    local = local_environment(shipped)
    assert all(local[place] == "local" for place in ("REGISTRY", "STORE", "MODEL_STORE", "TARGET") if place in local)
    changed = {key for key in shipped if shipped[key] != local[key]}
    assert changed <= {"REGISTRY", "STORE", "MODEL_STORE", "TARGET"}


def test_what_the_user_names_is_kept():
    given = Pipeline("ai-engineer").environment({"REGISTRY": "service:models", "TARGET": "kserve"})
    assert local_environment(given)["REGISTRY"] == "service:models"
    assert local_environment(given)["TARGET"] == "kserve"


def test_a_local_run_in_a_workbench_signs_with_the_workbenchs_own_key(monkeypatch, tmp_path):
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    policy = load_policy(POLICY)
    with pytest.raises(InvalidInput, match="This pod has no SIGNING_KEY"):
        private_key(policy)
    make_own_keys()
    assert private_key(policy).startswith(b"-----BEGIN")


def test_the_last_lines_say_what_came_of_the_model(tmp_path, monkeypatch):
    approval = Approval(state="rejected", reasons=("too slow", "too wrong"))
    record = a_record().model_copy(update={"approval": approval})
    record.write(tmp_path)
    for part in (record.selection.label, "rejected", *approval.reasons):
        assert part in headline(tmp_path)
    (tmp_path / Decision.filename).touch()
    monkeypatch.setattr(Decision, "read", lambda _: SimpleNamespace(sentence="Take another"))
    assert headline(tmp_path) == "Take another"


def test_the_baseline_s_load_is_looked_for_under_the_limit_that_decides():
    (limit,) = [line.must.value for line in load_criteria(BASELINE).musts if line.name == LATENCY]
    assert Pipeline("model-ops").parameters["USE_CASE"] == "baseline"
    assert load_use_case(ROOT / "datasets" / "baseline").slo.ttft_ms == limit
