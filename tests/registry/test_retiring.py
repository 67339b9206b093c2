"""A version goes out of use with a reason and a successor, and an approval does not hold for ever."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta

import pytest

from helpers.analysis import loading
from helpers.artifacts import now
from helpers.datasets.criteria import load_criteria
from helpers.errors import NoMatch, NotApproved
from helpers.ingestion.policy import load_policy
from helpers.local import stack
from helpers.registry import Constraints, Review, review
from helpers.registry.__main__ import POLICY
from helpers.runtime import processes
from helpers.serving.kserve.names import DIGEST, MANAGED, OURS
from tests.plugins.models import CRITERIA
from tests.plugins.records import START
from tests.plugins.stored import measured

WHY = "support ends in March"
RETIRE = ("retire", "alpha", "1.0", "--by", "Ada", "--reason", WHY, "--successor", "beta", "2.0")


@pytest.fixture
def two(registry, tmp_path):
    """An approved version and its approved successor, both measured."""
    selections = []
    for hour, (name, version) in enumerate((("alpha", "1.0"), ("beta", "2.0"))):
        record = measured(registry, tmp_path, name, version, when=START + timedelta(hours=hour))
        found = registry.find(name, version)
        registry.set_approval(found.model_version_id, "approved", ["good"])
        selections.append(record.selection.model_copy(update={"model_version_id": found.model_version_id}))
    return selections


def told(error):
    return WHY in str(error) and "beta 2.0" in str(error)


def test_a_retired_version_is_offered_and_served_no_more_and_its_successor_is_named(registry, run, two):
    code, said = run(*RETIRE)
    assert code == 0, said.err
    [row] = [each for each in registry.shortlist(Constraints(only_approved=False)) if each.name == "alpha"]
    assert told(row.excluded)
    for wanted, work in (
        (NoMatch, lambda: registry.select(registry.shortlist(), "alpha", "1.0")),
        (NotApproved, lambda: registry.confirm(two[0])),
        (NotApproved, lambda: registry.confirm(two[0], require_approval=False)),
    ):
        with pytest.raises(wanted) as refused:
            work()
        assert told(refused.value)
    assert registry.find("alpha", "1.0").archived
    comparison = loading.compare_all(registry, loading.Filter(), load_criteria(CRITERIA))
    assert [each.label for each in comparison.standings] == ["beta 2.0"]
    assert any(told(note) for note in comparison.not_compared)

    last = registry.decisions(two[0].model_version_id)[-1]
    assert (last.state, last.by, last.reasons, last.successor) == ("retired", "Ada", WHY, "beta 2.0")
    assert run("audit", "alpha")[0] == 0
    run(*RETIRE)
    assert len(registry.decisions(two[0].model_version_id)) == 2, "twice is once"
    run("restore", "alpha", "1.0")
    with pytest.raises(NotApproved):
        registry.confirm(two[0])
    assert run("approve", "alpha", "1.0", "--reason", "the successor failed")[0] == 0
    registry.confirm(two[0])


def a_service(version, name, namespace, **more):
    labels = {f"modelregistry.opendatahub.io/{key}": value for key, value in more.items()}
    return {
        "kind": "InferenceService", "apiVersion": "serving.kserve.io/v1beta1", "spec": {"predictor": {}},
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
    }  # fmt: skip


def test_what_serves_a_version_keeps_it_and_is_named_with_what_ends_it(
    registry, run, two, tmp_path, kubernetes_api, monkeypatch
):
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    server = processes.Running(
        handle="alpha-1.0-abc", pid=process.pid, created=processes.created(process.pid), url="http://127.0.0.1:1",
        log=tmp_path / "log", started=now(), expires=now() + timedelta(hours=1), label="alpha 1.0",
    )  # fmt: skip
    processes.save(server)
    version = registry.find("alpha", "1.0")
    ids = {"registered-model-id": version.registered_model_id, "model-version-id": version.model_version_id}
    ours = a_service(version, "by-assay", "evaluation")
    ours["metadata"] |= {
        "labels": {MANAGED: OURS},
        "annotations": {"openshift.io/display-name": "alpha 1.0", DIGEST: version.properties["digest"]},
    }
    other = a_service(version, "of-another", "elsewhere", **ids | {"model-version-id": "99"})
    for each in (ours, a_service(version, "by-hand", "elsewhere", **ids), other):
        kubernetes_api.put(each)
    assert {"alpha-1.0-abc", "evaluation/by-assay"} <= named(run(*RETIRE))
    assert "elsewhere/by-hand" not in named(run(*RETIRE)), "this account sees its own project only"
    monkeypatch.setenv("KUBECONFIG", str(kubernetes_api.kubeconfig(token="admin-token", name="admin")))
    assert named(run(*RETIRE)) == {"alpha-1.0-abc", "evaluation/by-assay", "elsewhere/by-hand"}
    assert registry.decisions(version.model_version_id)[-1].state == "approved"
    shown = run("show", "alpha", "1.0")[1].out
    assert "by-assay" in shown
    assert "by-hand" in shown

    processes.end(server)
    process.wait(30)
    kubernetes_api.failures += [503] * 500
    monkeypatch.setattr("helpers.runtime.patience.SECONDS", 1)
    assert run(*RETIRE)[0] == 1, "a cluster that does not answer may serve it"
    kubernetes_api.failures.clear()
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    assert run(*RETIRE)[0] == 0


def named(done):
    code, said = done
    assert code == 1
    return {
        name for name in ("alpha-1.0-abc", "evaluation/by-assay", "elsewhere/by-hand", "of-another") if name in said.err
    }


@pytest.mark.parametrize("successor", [("alpha", "1.0"), ("beta", "3.0"), ("gamma", "1.0")])
def test_what_nobody_may_use_is_no_successor(registry, run, two, successor):
    registry.register_candidate("gamma", "1.0", uri="file:///x", digest=f"sha256:{'e' * 64}", size_bytes=1)
    assert run(*RETIRE[:-2], *successor)[0] == 1
    assert run("retire", "alpha", "1.0")[0] == 1, "without a reason"
    assert registry.decisions(two[0].model_version_id)[-1].state == "approved"


def reviewed(registry, policy="") -> Review:
    return registry.reviews(policy)[registry.find("alpha", "1.0").model_version_id]


def test_an_approval_is_due_after_its_days_and_the_shortlist_says_so(registry, run, two, monkeypatch):
    assert run("approve", "alpha", "1.0", "--reason", "needed")[0] == 0
    days = load_policy(POLICY).review.days
    assert (reviewed(registry).by - now().date()).days == days
    assert not reviewed(registry).due
    monkeypatch.setattr(review, "now", lambda: now() + timedelta(days=days))
    assert reviewed(registry).due
    rows = {row.name: row.review for row in registry.shortlist()}
    assert rows["alpha"].startswith("due")
    assert [line.partition("  ")[0] for line in stack.reviews_due(registry)] == ["alpha 1.0", "beta 2.0"]


def ingested(registry, name, when, modelscan):
    registry.register_candidate(
        name, "1.0", uri=f"file:///{name}", digest=f"sha256:{name.encode().hex():0<64}", size_bytes=1,
        provenance={"scanners": json.dumps({"modelscan": modelscan}), "ingested_at": f"{when:%Y-%m-%dT%H:%M:%SZ}"},
    )  # fmt: skip
    return registry.find(name, "1.0").model_version_id


def on_engine(registry, key, record, engine, hardware, when):
    summary = {
        "purpose": "baseline",
        "use_case": "x",
        "engine": engine,
        "hardware": hardware,
        "ended": when.isoformat(),
    }
    registry.attach_record(key, record, "file:///r", summary, {"knowledge": {"kind": "evaluation"}})


def test_an_approval_is_due_as_soon_as_policy_scanner_or_engine_are_others(registry, run):
    start = now() - timedelta(hours=1)
    alpha = ingested(registry, "alpha", start, "0.8.6")
    on_engine(registry, alpha, "r1", "vllm 0.32.0", "2 x Xeon", start)
    registry.set_approval(alpha, "approved", ["good"], policy_digest="sha256:1", record="r1")
    assert reviewed(registry, "sha256:1").changed == ()
    assert reviewed(registry, "sha256:2").changed == ("the policy has changed",)

    beta = ingested(registry, "beta", start + timedelta(minutes=1), "0.8.7")
    on_engine(registry, beta, "r2", "vllm 0.33.0", "1 x H200", start + timedelta(minutes=2))
    [scanner] = reviewed(registry).changed
    assert scanner.startswith("modelscan 0.8.6")
    on_engine(registry, beta, "r3", "vllm 0.33.0", "2 x Xeon", start + timedelta(minutes=3))
    assert reviewed(registry).changed[0] == scanner
    assert reviewed(registry).changed[1].startswith("vllm 0.32.0")

    assert run("approve", "alpha", "1.0", "--reason", "read again")[0] == 0
    assert not reviewed(registry, load_policy(POLICY).digest).due, "a person has seen all that"
    assert not registry.reviews().get(beta), "what is not approved has no review"
