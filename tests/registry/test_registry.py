"""What the notebooks get from a real registry over real HTTP."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from helpers.artifacts import upgrading
from helpers.errors import (
    DigestMismatch,
    InvalidInput,
    InvalidParameter,
    ModelNotFound,
    NoMatch,
    NotApproved,
    NotFound,
    RegistryUnreachable,
)
from helpers.registry import Constraints, Decision, Registry, connect, connection, shortlist_table
from helpers.registry.documents import post
from helpers.registry.properties import decode, encode
from helpers.registry.records import attach_record, converge
from helpers.runtime import keys, signing
from helpers.runtime.circumstances import account
from helpers.runtime.workspace import ROOT
from tests.plugins.registry import MEMORY, RegistryServer, serving

DIGEST = f"sha256:{'a' * 64}"
OTHER = f"sha256:{'b' * 64}"
BASELINE = {"purpose": "baseline", "accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95, "ttft_p95_ms": 120.0}


def parts(flat: dict[str, object]) -> tuple[dict[str, object], dict[str, dict[str, object]]]:
    """A record's summary and its two measurements' figures."""
    summary, measurements = upgrading.summary(flat)
    return {"use_case": "ops", "measurements": ",".join(measurements), **summary}, measurements


@pytest.fixture
def registry(registry_server: RegistryServer) -> Registry:
    return connect("local")


def candidate(registry: Registry, name: str = "alpha", version: str = "1.0", **known: object):
    defaults = {"uri": "file:///x", "digest": DIGEST, "size_bytes": 1000, "license": "apache-2.0"}
    return registry.register_candidate(name, version, **(defaults | known))


def published(
    registry: Registry,
    name: str,
    score: float,
    ttft: float,
    version: str = "1.0",
    measured: dict[str, object] | None = None,
    **known: object,
) -> str:
    key = candidate(registry, name, version, **known).model_version_id
    figures = {**BASELINE, "accuracy": score, "ttft_p95_ms": ttft, **(measured or {})}
    registry.attach_record(key, f"{name}-{version}", "file:///r", *parts(figures))
    registry.set_approval(key, "approved", ["meets the thresholds"])
    return key


def state(registry: Registry) -> dict[str, object]:
    base = f"{registry.address}/api/model_registry/v1alpha3"
    return {part: httpx.get(f"{base}/{part}").json() for part in ("registered_models", "model_versions", "artifacts")}


def properties(registry: Registry) -> dict[str, object]:
    return registry.versions()[0].properties


def text(value: str) -> dict[str, str]:
    return {"string_value": value, "metadataType": "MetadataStringValue"}


def raw(registry: Registry, key: str) -> dict[str, dict]:
    return httpx.get(f"{registry.address}/api/model_registry/v1alpha3/model_versions/{key}").json()["customProperties"]


def change(registry: Registry, key: str, **given: dict) -> None:
    """Change a version's properties as the dashboard or another tool does."""
    body = {"customProperties": {**raw(registry, key), **given}, "state": "LIVE"}
    url = f"{registry.address}/api/model_registry/v1alpha3/model_versions/{key}"
    assert httpx.patch(url, json=body).status_code == 200


NAMED = {"id": "1", "name": "1.0", "registeredModelId": "1"}  # of a version, and of a model as far as that is read


def signed_decision(**about: str) -> dict[str, object]:
    """A document with the first decision on 1.0 of the model 1.0, as ModelOps' key signs it."""
    decision = Decision("approved", "", model="1.0", version="1.0", serial=1, **about)
    document = signing.sign(decision.payload(), keys.signing_key(keys.MODEL_OPS))
    said = encode({**decision.shown(), **document.fields()})
    return {"id": "1", "name": "approval-000001", "customProperties": said}


# Registration


def test_a_candidate_is_found_with_all_that_was_said_of_it(registry):
    made = candidate(registry, size_bytes=5_000_000_000, parameters=3_400_000_000, provenance={"source_url": "here"})

    assert (made.size_bytes, made.parameters, made.license) == (5_000_000_000, 3_400_000_000, "apache-2.0")
    assert made.registry == registry.address
    assert properties(registry)["approval"] == "candidate"
    assert properties(registry)["source_url"] == "here"
    assert registry.select(registry.shortlist(Constraints(only_approved=False)), "alpha", "1.0") == made.model_copy(
        update={"reason": "the only version of alpha that meets the constraints: no baseline accuracy"}
    )


def test_registering_again_changes_nothing(registry):
    made, before = candidate(registry), state(registry)
    assert candidate(registry) == made
    assert state(registry) == before


def test_the_same_version_with_other_files_is_refused(registry):
    candidate(registry)
    before = state(registry)
    with pytest.raises(InvalidInput, match=f"alpha 1.0 is registered with digest {DIGEST}"):
        candidate(registry, digest=OTHER)
    assert state(registry) == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"digest": "md5:1"},
        {"size_bytes": -1},
        {"provenance": {"loss": float("nan")}},
        {"provenance": {"text": "a\x00b"}},
        {"name": ""},
        {"name": "x" * 300},
        {"version": ""},
        {"version": "x" * 252},
        {"name": "an escape \\u0000"},
        {"uri": "s3://b/" + "u" * 70_000},
        {"provenance": {"k" * 256: "v"}},
    ],
    ids=lambda wrong: str(wrong)[:60],
)
def test_metadata_that_cannot_be_kept_is_refused_before_anything_is_registered(registry, wrong):
    with pytest.raises(InvalidInput):
        candidate(registry, **wrong)
    assert state(registry)["registered_models"]["size"] == 0


def test_values_that_the_registry_has_no_type_for_are_kept_as_text(registry):
    candidate(registry, provenance={"big": 10**12, "none": None, "list": [1, "a"], "map": {"k": 1.5}, "yes": True})
    shown = properties(registry)
    assert (shown["big"], shown["none"], shown["list"]) == ("1000000000000", "null", '[1, "a"]')
    assert (shown["map"], shown["yes"]) == ('{"k": 1.5}', True)


def test_a_registration_that_was_cut_off_is_completed(registry):
    base = f"{registry.address}/api/model_registry/v1alpha3"
    digest = {"string_value": DIGEST, "metadataType": "MetadataStringValue"}
    httpx.post(f"{base}/registered_models", json={"name": "alpha"})
    body = {"name": "1.0", "registeredModelId": "1", "customProperties": {"digest": digest}}
    httpx.post(f"{base}/model_versions", json=body)

    assert candidate(registry).model_version_id == "2"
    assert state(registry)["artifacts"]["size"] == 1


def test_eight_that_register_the_same_at_once_get_the_same(registry):
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: candidate(connect("local")), range(8)))
    assert len(made) == 1
    assert [part["size"] for part in state(registry).values()] == [1, 1, 1]


# Shortlist and selection


def test_the_shortlist_says_why_each_version_is_out(registry):
    published(registry, "good", 0.8, 100)
    published(registry, "weak", 0.41, 100)
    published(registry, "slow", 0.8, 900)
    published(registry, "closed", 0.8, 100, license="proprietary")
    candidate(registry, "new")
    registry.set_approval(candidate(registry, "refused").model_version_id, "rejected", ["too slow"])

    rows = registry.shortlist(Constraints(min_baseline_accuracy=0.5, max_ttft_p95_ms=500, licenses=("Apache-2.0",)))

    assert rows[0].name == "good"
    assert {row.name: row.excluded for row in rows} == {
        "good": "",
        "weak": "accuracy 0.41 below 0.5",
        "slow": "TTFT p95 900 ms above 500 ms",
        "closed": "license proprietary not allowed",
        "new": "not approved (candidate); no baseline",
        "refused": "not approved (rejected); no baseline",
    }
    assert {row.name for row in rows if not row.how} == {"new", "refused"}  # nobody asked them anything
    table = shortlist_table(rows)
    assert table["name"][0] == "good"
    assert list(table.columns)[:3] == ["name", "version", "approval"]


def test_the_best_match_has_the_highest_score_then_the_lowest_latency(registry):
    published(registry, "low", 0.7, 10)
    published(registry, "slow", 0.9, 300)
    published(registry, "fast", 0.9, 200)

    best = registry.select(registry.shortlist())

    assert best.name == "fast"
    assert best.reason == "best of 3 versions that meet the constraints: baseline accuracy 0.90, TTFT p95 200 ms"


ALIKE = {
    "task": "t", "dataset_digest": "sha256:aa", "api": "completions", "num_fewshot": 0, "workload": "chatbot",
    "hardware": "2 x Xeon",
}  # fmt: skip


@pytest.mark.parametrize(
    "otherwise",
    [
        {"task": "other"}, {"dataset_digest": "sha256:bb"}, {"hardware": "1 x H100"}, {"workload": "rag"},
        {"api": "chat"}, {"num_fewshot": 5}, {"partial": "a trial of 24 questions"}, {"unverified": True},
    ],
    ids=lambda changed: next(iter(changed)),
)  # fmt: skip
def test_a_baseline_that_was_measured_otherwise_is_shown_apart_and_never_best(registry, otherwise):
    published(registry, "good", 0.8, 100, measured=ALIKE)
    published(registry, "poor", 0.6, 100, measured=ALIKE)
    published(registry, "odd", 0.99, 1, measured=ALIKE | otherwise)
    registry.set_approval(candidate(registry, "never").model_version_id, "approved", ["asked for"], by="Ada")

    rows = registry.shortlist()

    assert [(row.name, bool(row.apart)) for row in rows[:2]] == [("good", False), ("poor", False)]
    assert {row.name for row in rows if row.apart} == {"odd", "never"}
    assert registry.select(rows).name == "good"
    assert registry.select(rows, "odd").name == "odd"


def test_trials_are_held_against_each_other_where_there_is_nothing_else(registry):
    for name, score in (("a", 0.5), ("b", 0.7)):
        published(registry, name, score, 10, measured=ALIKE | {"partial": "a trial of 24 questions"})
    assert [(row.name, row.apart) for row in registry.shortlist()] == [("b", ""), ("a", "")]


def test_the_named_model_is_selected_by_its_best_version(registry):
    published(registry, "alpha", 0.7, 10, version="1.0")
    published(registry, "alpha", 0.8, 10, version="2.0", uri="file:///two")
    published(registry, "beta", 0.9, 10)
    rows = registry.shortlist()
    assert (registry.select(rows, "alpha").version, registry.select(rows, "alpha").uri) == ("2.0", "file:///two")
    assert registry.select(rows, "alpha", "1.0").version == "1.0"


def test_an_unknown_name_gets_the_closest_ones(registry):
    for name in ("granite-small", "granite-large", "zephyr"):
        candidate(registry, name)
    rows = registry.shortlist()
    with pytest.raises(ModelNotFound, match=r"no model 'Granit-smal'.*granite-small") as caught:
        registry.select(rows, "Granit-smal")
    assert "zephyr" not in str(caught.value)
    with pytest.raises(ModelNotFound, match=r"zephyr has no version '2'.*1.0"):
        registry.select(rows, "zephyr", "2")


def test_an_empty_registry_says_what_fills_it(registry):
    with pytest.raises(ModelNotFound, match=f"{registry.address} has no models.*make run.*model-ops"):
        registry.select(registry.shortlist())


def test_no_match_lists_the_reasons(registry):
    published(registry, "weak", 0.41, 100)
    candidate(registry, "new")
    with pytest.raises(NoMatch, match=r"weak 1.0: accuracy 0.41 below 0.5.*new 1.0: not approved"):
        registry.select(registry.shortlist(Constraints(min_baseline_accuracy=0.5)))
    with pytest.raises(NoMatch, match=r"new 1\.0: not approved"):
        registry.select(registry.shortlist(), "new")


def test_archived_models_and_versions_are_out(registry):
    published(registry, "alpha", 0.9, 10)
    httpx.patch(f"{registry.address}/api/model_registry/v1/registered_models/1", json={"state": "ARCHIVED"})
    assert [row.excluded for row in registry.shortlist()] == ["archived"]


@pytest.mark.parametrize(
    "wrong", [{"min_baseline_accuracy": 2}, {"max_ttft_p95_ms": 0}, {"licenses": "mit"}, {"score": 1}]
)
def test_constraints_are_checked(wrong):
    with pytest.raises(InvalidParameter):
        Constraints(**wrong)


# Records and approval


def test_a_record_shows_on_its_version_beside_the_other_properties(registry):
    key = candidate(registry, provenance={"kept": "yes"}).model_version_id

    registry.attach_record(key, "r1", "file:///r1", *parts(BASELINE))
    registry.attach_record(key, "r2", "file:///r2", *parts({"purpose": "use-case", "accuracy": 0.5}))

    shown = properties(registry)
    assert (shown["kept"], shown["digest"]) == ("yes", DIGEST)
    assert (shown["baseline.knowledge.acc"], shown["baseline.chat.ttft_p95_ms"]) == (0.9, 120.0)
    assert shown["baseline.knowledge.record"] == shown["baseline.chat.record"] == "r1"
    assert (shown["usecase.ops.knowledge.acc"], shown["usecase.ops.knowledge.record"]) == (0.5, "r2")
    first, second = registry.records()
    assert (first.name, first.version, first.record_id, first.uri) == ("alpha", "1.0", "r1", "file:///r1")
    assert (first.summary, first.measurements) == parts(BASELINE)
    assert (second.summary, second.measurements) == parts({"purpose": "use-case", "accuracy": 0.5})


def test_attaching_a_record_again_changes_nothing(registry):
    key = candidate(registry).model_version_id
    registry.attach_record(key, "r1", "file:///r1", *parts(BASELINE))
    before = state(registry)
    registry.attach_record(key, "r1", "file:///r1", *parts(BASELINE))
    assert state(registry) == before


def test_the_newest_record_of_a_purpose_replaces_the_older_ones_figures(registry):
    key = candidate(registry).model_version_id
    registry.attach_record(key, "r1", "file:///r1", *parts(BASELINE))
    registry.attach_record(key, "r2", "file:///r2", *parts({"purpose": "baseline", "accuracy": 0.7}))
    registry.attach_record(key, "r1", "file:///r1", *parts(BASELINE))

    shown = properties(registry)
    assert (shown["baseline.knowledge.acc"], shown["baseline.knowledge.record"]) == (0.7, "r2")
    assert "baseline.knowledge.acc_low" not in shown, "of the older measurement"
    assert (shown["baseline.chat.ttft_p95_ms"], shown["baseline.chat.record"]) == (120.0, "r1")
    assert len(registry.records()) == 2


def test_use_cases_and_measurements_do_not_take_each_others_place(registry):
    key = candidate(registry).model_version_id
    scored = {"kind": "evaluation", "tier": "accuracy", "metric": "acc", "acc": 0.5}
    for record, case, name, score in (("r1", "a", "facts", 0.5), ("r2", "a", "sums", 0.6), ("r3", "b", "facts", 0.7)):
        summary = {"purpose": "use-case", "use_case": case, "measurements": name}
        registry.attach_record(key, record, "file:///r", summary, {name: {**scored, "acc": score}})
    shown = properties(registry)
    wanted = {"usecase.a.facts.acc": 0.5, "usecase.a.sums.acc": 0.6, "usecase.b.facts.acc": 0.7}
    assert {name: value for name, value in shown.items() if name.endswith(".acc")} == wanted


def test_a_record_of_version_1_is_read_and_its_properties_are_written_anew(registry):
    """Both as version 1 left them in a registry."""
    facts = ROOT / "tests" / "facts" / "version-1"
    summary = json.loads((facts / "summary.json").read_text())
    old = json.loads((facts / "properties.json").read_text())
    key = candidate(registry).model_version_id
    change(registry, key, **encode(old))
    [row] = registry.shortlist(Constraints(only_approved=False))
    seen = (row.accuracy, row.accuracy_low, row.ttft_p95_ms, row.task, row.workload)
    names = ("accuracy", "accuracy_low", "ttft_p95_ms", "task", "workload")
    assert seen == tuple(summary[name] for name in names)

    post(registry._connection, key, f"record-{summary['record_id']}", "file:///r", {**summary, "purpose": "baseline"})
    [record] = registry.records()
    assert record.has(kind="evaluation", subject="ops_assistant", identity=summary["evaluation_identity"])
    assert record.has(kind="load_test", identity=summary["sweep_identity"], ttft_p95_ms=summary["ttft_p95_ms"])
    registry.set_approval(key, "approved", ["good"])
    shown = properties(registry)
    assert shown["baseline.knowledge.acc"] == summary["accuracy"]
    assert not [name for name in shown if name.startswith("baseline_")]
    [after] = registry.shortlist()
    assert (after.accuracy, after.accuracy_low, after.ttft_p95_ms, after.task, after.workload) == seen


def test_a_trial_takes_no_measurements_place(registry):
    key = candidate(registry).model_version_id
    trial = {**BASELINE, "accuracy": 1.0, "partial": "a trial of 24 questions"}
    registry.attach_record(key, "t1", "file:///t1", *parts(trial))
    assert properties(registry)["baseline.knowledge.partial"] == trial["partial"]
    registry.attach_record(key, "r1", "file:///r1", *parts(BASELINE))
    registry.attach_record(key, "t2", "file:///t2", *parts(trial))
    shown = properties(registry)
    assert (shown["baseline.knowledge.record"], shown["baseline.knowledge.acc"]) == ("r1", 0.9)
    assert "baseline.knowledge.partial" not in shown


def test_records_are_told_apart_by_model_and_version(registry):
    for name, version in (("a", "1"), ("a", "2"), ("b", "1")):
        published(registry, name, 0.9, 10, version=version)
    assert [(r.name, r.version) for r in registry.records("a")] == [("a", "1"), ("a", "2")]
    assert [r.record_id for r in registry.records("a", "2")] == ["a-2"]
    assert registry.records("c") == []


def test_a_record_needs_a_purpose_and_a_version(registry):
    key = candidate(registry).model_version_id
    with pytest.raises(InvalidInput, match="baseline or use-case"):
        registry.attach_record(key, "r1", "file:///r1", *parts({"accuracy": 0.9}))
    with pytest.raises(NotFound):
        registry.attach_record("99", "r1", "file:///r1", *parts(BASELINE))


def test_runs_that_log_at_the_same_time_lose_nothing(registry):
    key = candidate(registry, provenance={"kept": "yes"}).model_version_id
    start = threading.Barrier(9)

    def log(i: int) -> None:
        mine = connect("local")
        start.wait(60)
        flat = {"purpose": "use-case" if i % 2 else "baseline", "accuracy": i / 8}
        mine.attach_record(key, f"r{i}", "file:///r", *parts(flat))

    def approve() -> None:
        mine = connect("local")
        start.wait(60)
        mine.set_approval(key, "approved", ["good"])

    with ThreadPoolExecutor(9) as pool:
        for future in [*(pool.submit(log, i) for i in range(8)), pool.submit(approve)]:
            future.result()

    newest = {record.summary["purpose"]: record for record in registry.records()}
    shown = properties(registry)
    assert {record.record_id for record in registry.records()} == {f"r{i}" for i in range(8)}
    assert (shown["approval"], shown["kept"], shown["digest"]) == ("approved", "yes", DIGEST)
    for purpose, prefix in (("baseline", "baseline"), ("use-case", "usecase.ops")):
        assert shown[f"{prefix}.knowledge.record"] == newest[purpose].record_id
        assert shown[f"{prefix}.knowledge.acc"] == newest[purpose].measurements["knowledge"]["acc"]


def test_what_a_slower_run_overwrote_comes_back(registry):
    """Another run writes exactly between this one's reading and writing of the version's properties."""
    key = candidate(registry).model_version_id
    other = connect("local")

    def meanwhile() -> None:
        other.attach_record(key, "theirs", "file:///r", *parts({"purpose": "use-case", "accuracy": 0.5}))
        other.set_approval(key, "approved", ["good"])

    class Slow:
        """Passes everything on, the first change late."""

        waiting = [meanwhile]  # noqa: RUF012

        def __getattr__(self, name: str) -> object:
            return getattr(registry._connection, name)

        def patch(self, *path: str, **body: object) -> object:
            if self.waiting:
                self.waiting.pop()()
            return registry._connection.patch(*path, **body)

    attach_record(Slow(), key, "ours", "file:///r", *parts(BASELINE))

    shown = properties(registry)
    records = (shown["baseline.knowledge.record"], shown["usecase.ops.knowledge.record"])
    assert (*records, shown["approval"]) == ("ours", "theirs", "approved")


def test_approval_is_set_with_its_reasons_and_only_once(registry):
    key = candidate(registry).model_version_id
    registry.set_approval(key, "rejected", ["too slow", "too wrong"])
    before = state(registry)
    registry.set_approval(key, "rejected", ["too slow", "too wrong"])
    assert state(registry) == before
    assert properties(registry)["approval_reasons"] == "too slow; too wrong"

    registry.set_approval(key, "approved", ["measured again"])
    registry.set_approval(key, "rejected", ["too slow", "too wrong"])
    assert properties(registry)["approval"] == "rejected"
    with pytest.raises(InvalidInput, match="candidate, approved, rejected"):
        registry.set_approval(key, "maybe", [])


def test_an_approval_changed_by_hand_in_the_dashboard_stays(registry):
    key = candidate(registry).model_version_id
    registry.set_approval(key, "approved", ["good"])
    change(registry, key, approval=text("rejected"))

    registry.attach_record(key, "r1", "file:///r1", *parts(BASELINE))
    assert properties(registry)["approval"] == "rejected"

    registry.set_approval(key, "approved", ["good"])
    assert properties(registry)["approval"] == "approved"


def test_an_archived_version_stays_archived_when_a_record_comes(registry):
    key = candidate(registry).model_version_id
    httpx.patch(f"{registry.address}/api/model_registry/v1/model_versions/{key}", json={"state": "ARCHIVED"})
    registry.attach_record(key, "r1", "file:///r1", *parts(BASELINE))
    assert registry.versions()[0].archived


def test_a_persons_decision_stands_until_a_person_hands_back(registry):
    key = candidate(registry).model_version_id
    registry.set_approval(key, "rejected", ["too slow"], policy_digest="sha256:aa")
    registry.set_approval(key, "approved", ["needed for the pilot until March"], by="Ada")
    registry.set_approval(key, "rejected", ["too slow"], policy_digest="sha256:aa")  # the baseline is logged again
    shown = properties(registry)
    assert (shown["approval"], shown["approval_by"]) == ("approved", "Ada")
    assert shown["approval_reasons"] == "needed for the pilot until March"

    registry.set_approval(key, "candidate", ["the pilot is over"], by="Grace")
    assert properties(registry)["approval"] == "candidate"
    registry.set_approval(key, "rejected", ["too slow"], policy_digest="sha256:bb", criteria_digest="sha256:cc")
    assert (properties(registry)["approval"], properties(registry)["approval_by"]) == ("rejected", "")

    decisions = registry.decisions(key)
    history = [(found.state, found.by, found.policy_digest, found.criteria_digest) for found in decisions]
    assert history == [
        ("rejected", "", "sha256:aa", ""),
        ("approved", "Ada", "", ""),
        ("candidate", "Grace", "", ""),
        ("rejected", "", "sha256:bb", "sha256:cc"),
    ]
    assert all(found.decided_at.startswith("20") for found in decisions)


def test_a_persons_decision_needs_a_reason(registry):
    key = candidate(registry).model_version_id
    with pytest.raises(InvalidInput, match="Ada's decision has no reason"):
        registry.set_approval(key, "approved", [" "], by="Ada")
    assert registry.decisions(key) == []


def test_a_selection_is_held_against_what_the_registry_says_now(registry):
    selection = candidate(registry)
    registry.confirm(selection, require_approval=False)
    with pytest.raises(NotApproved, match=r"alpha 1\.0 is candidate, not approved: there is no decision on it"):
        registry.confirm(selection)
    registry.set_approval(selection.model_version_id, "approved", ["good"])
    registry.confirm(selection)
    registry.set_approval(selection.model_version_id, "rejected", ["a flaw was found"], by="Ada")
    with pytest.raises(NotApproved, match="rejected, not approved: a flaw was found"):
        registry.confirm(selection)
    with pytest.raises(DigestMismatch, match="names digest"):
        registry.confirm(selection.model_copy(update={"digest": "sha256:" + "0" * 64}))
    with pytest.raises(ModelNotFound, match="alpha"):
        registry.confirm(selection.model_copy(update={"name": "alpa"}))


def test_a_person_decides_on_the_command_line(registry, capsys, monkeypatch):
    from helpers.registry.__main__ import main

    candidate(registry)

    def run(command, *arguments, model="alpha"):
        monkeypatch.setattr(
            "sys.argv", ["helpers.registry", command, model, "1.0", "--registry", registry.address, *arguments]
        )
        return main(), capsys.readouterr()

    assert run("approve", "--by", "Ada")[0] == 1
    code, shown = run("approve", "--by", "Ada", "--reason", "needed for the pilot")
    assert code == 0
    assert shown.out.startswith("alpha 1.0 is approved\n")
    assert "approved   Ada: needed for the pilot" in shown.out
    assert run("show")[1].out == shown.out
    assert run("reject", "--by", "Ada", "--reason", " ")[0] == 1
    code, shown = run("reject", "--by", " ", "--reason", "a flaw was found")
    assert code == 0
    assert f"rejected   {account()}: a flaw was found" in shown.out, "nobody's decision would be the policy's"
    code, shown = run("show", model="alpa")
    assert code == 1
    assert "alpha" in shown.err


def test_the_command_line_takes_the_registry_that_everything_else_takes(registry, capsys, monkeypatch):
    """In a workbench that is the cluster's, here the one on this machine."""
    from helpers.registry import __main__ as command

    candidate(registry)
    asked = []
    monkeypatch.setattr(command, "connect", lambda address, **more: asked.append(address) or connect(address, **more))
    monkeypatch.setattr("sys.argv", ["helpers.registry", "show", "alpha", "1.0"])
    assert command.main() == 0
    assert asked == ["auto"]


# What other tools and other databases make of it


@pytest.mark.parametrize("name", ["Alpha", "ALPHA", "\u00e4lpha"])
def test_a_model_that_differs_only_in_case_or_accents_is_refused_with_the_registered_spelling(registry, name):
    candidate(registry)
    before = state(registry)
    with pytest.raises(InvalidInput, match=r"'alpha'.*case or accents"):
        candidate(registry, name)
    assert state(registry) == before


def test_a_version_that_differs_only_in_case_is_refused(registry):
    candidate(registry, version="1.0-rc")
    with pytest.raises(InvalidInput, match=r"'1\.0-rc'"):
        candidate(registry, version="1.0-RC", digest=OTHER)


def test_an_approval_under_another_spelling_is_replaced_and_read_back(registry):
    key = candidate(registry).model_version_id
    change(registry, key, Approval=text("rejected"))
    registry.set_approval(key, "approved", ["good"])
    assert registry.shortlist()[0].approval == "approved"
    assert [name for name in raw(registry, key) if name.casefold() == "approval"] == ["approval"]
    registry.set_approval(key, "rejected", ["a flaw"])
    assert registry.shortlist(Constraints(only_approved=False))[0].approval == "rejected"


def test_a_registry_that_keeps_the_first_spelling_of_a_property_settles_too():
    """MySQL: a property that is written as `approval` stays `Approval`, with the new value."""

    class Mysql:
        properties = {"Approval": text("candidate"), "kept": text("yes")}  # noqa: RUF012

        def __init__(self) -> None:
            self.decision = signed_decision()

        def pages(self, *path: str, **query: str) -> list[dict]:
            return [self.decision]

        def get(self, *path: str) -> dict:
            return {"customProperties": self.properties, "state": "LIVE", **NAMED}

        def patch(self, *path: str, body: dict) -> dict:
            sent = [name.casefold() for name in body["customProperties"]]
            assert len(sent) == len(set(sent)), "of two spellings any may win"
            spelled = {name.casefold(): name for name in self.properties}
            self.properties = {spelled.get(k.casefold(), k): v for k, v in body["customProperties"].items()}
            return self.get()

    server = Mysql()
    converge(server, "1")
    assert decode(server.properties)["approval"] == "approved"
    assert server.properties["kept"] == text("yes")


def test_what_other_tools_wrote_goes_back_as_it_came(registry):
    """A struct is answered as JSON and taken in base64; ten digits are fine for the server."""
    sent = []
    theirs = {
        "tool": {"struct_value": '{"a":1}', "metadataType": "MetadataStructValue"},
        "tokens": {"int_value": "2147483647", "metadataType": "MetadataIntValue"},
        "Owner Team": text("\u00fcber"),
    }

    class Real:
        def pages(self, *path: str, **query: str) -> list[dict]:
            return [signed_decision()]

        def get(self, *path: str) -> dict:
            ours = {"approval": text("approved"), "approval_decision": text("approval-000001")} if sent else {}
            blank = {"approval_reasons": text(""), "approval_by": text("")} if sent else {}
            return {"customProperties": {**theirs, **ours, **blank}, "state": "ARCHIVED", **NAMED}

        def patch(self, *path: str, body: dict) -> dict:
            sent.append(body)
            return self.get()

    converge(Real(), "1")
    (body,) = sent
    assert base64.b64decode(body["customProperties"]["tool"]["struct_value"]) == b'{"a":1}'
    assert {name: body["customProperties"][name] for name in ("tokens", "Owner Team")} == {
        name: theirs[name] for name in ("tokens", "Owner Team")
    }
    assert body["state"] == "ARCHIVED"


def test_ten_digits_of_another_tool_end_nothing(registry):
    key = candidate(registry).model_version_id
    change(registry, key, tokens={"int_value": "2147483647", "metadataType": "MetadataIntValue"})
    registry.attach_record(key, "r1", "file:///r1", *parts(BASELINE))
    registry.set_approval(key, "approved", ["good"])
    assert (properties(registry)["tokens"], properties(registry)["approval"]) == (2147483647, "approved")


def test_what_is_written_into_properties_is_ascii(registry):
    reason = "\u2264 500 ms \u2013 gut f\u00fcr \u6a21, \\u0000 too"
    key = candidate(registry, provenance={"\u00fcber": "Gr\u00f6\u00dfe"}, description="\u00e4").model_version_id
    registry.set_approval(key, "approved", [reason], by="J\u00fcrgen")
    registry.attach_record(key, "r1", "file:///r1", *parts({**BASELINE, "task": "fragen_\u00fcber"}))
    everything = json.dumps(state(registry), ensure_ascii=False)
    assert everything.isascii()
    assert "\\u0000" not in everything
    shown = properties(registry)
    assert shown["approval_reasons"].startswith("<= 500 ms - gut fur ")
    assert (shown["approval_by"], shown["uber"]) == ("Jurgen", "Grosse")
    before = state(registry)
    registry.set_approval(key, "approved", [reason], by="J\u00fcrgen")
    assert state(registry) == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"uri": "s3://b/" + "u" * 70_000},
        {"record_id": "r" * 250},
        {"record_id": "r\\u0000"},
        {"measurements": {"chat": {"k" * 250: 1}}},
        {"measurements": {"chat": {"loss": float("nan")}}},
    ],
    ids=lambda wrong: str(wrong)[:40],
)
def test_a_record_that_cannot_be_kept_leaves_nothing_behind(registry, wrong):
    key = candidate(registry).model_version_id
    before = state(registry)
    summary, measurements = parts(BASELINE)
    given = {"record_id": "r1", "uri": "file:///r1", "summary": summary, "measurements": measurements, **wrong}
    with pytest.raises(InvalidInput):
        registry.attach_record(key, **given)
    assert state(registry) == before


# Connecting


@pytest.mark.parametrize("tail", ["", "/", "/api/model_registry/v1alpha3/"])
def test_the_address_may_end_as_people_paste_it(registry_server, tail):
    assert connect(registry_server.address + tail).address == registry_server.address


@pytest.mark.parametrize("address", ["", "localhost:8080", "ftp://x", "http://", "http://h:port", "http://h/?a=b"])
def test_an_address_in_a_wrong_form_is_refused(address):
    with pytest.raises(InvalidParameter):
        connect(address)


def test_a_password_in_the_address_is_not_repeated():
    with pytest.raises(InvalidParameter) as caught:
        connect("https://me:hunter2@host")
    assert "hunter2" not in str(caught.value)


def test_the_local_registry_is_found_by_its_file(registry_server, monkeypatch, tmp_path):
    monkeypatch.delenv("REGISTRY_ADDRESS_LOCAL")
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    with pytest.raises(RegistryUnreachable, match="make up"):
        connect("local")
    (tmp_path / "registry.json").write_text(json.dumps({"address": registry_server.address}))
    assert connect("local").versions() == []


def test_nothing_at_the_address_is_named_after_bounded_retries(hurried):
    with pytest.raises(RegistryUnreachable, match=re.escape("http://127.0.0.1:1")):
        connect("http://127.0.0.1:1")


def test_a_registry_that_goes_away_is_named():
    with serving(MEMORY) as server:
        registry = connect(server.address, timeout=0.5)
    for use in (registry.versions, registry.records, lambda: candidate(registry)):
        with pytest.raises(RegistryUnreachable, match=server.address):
            use()


def test_a_registry_that_comes_back_in_time_is_used():
    with serving(MEMORY) as server:
        registry = connect(server.address)
    port = int(server.address.rsplit(":", 1)[1])
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(registry.versions)
        with serving(MEMORY, port=port):
            assert answer.result() == []


def test_a_wrong_or_missing_token_is_explained(tmp_path, monkeypatch):
    monkeypatch.delenv("KF_PIPELINES_SA_TOKEN_PATH", raising=False)
    token_file = tmp_path / "token"
    token_file.write_text("right\n")
    with serving(MEMORY, token="right") as server:
        for token in ("", "wrong"):
            monkeypatch.setenv("REGISTRY_TOKEN", token)
            with pytest.raises(RegistryUnreachable, match=r"HTTP 401.*REGISTRY_TOKEN_FILE"):
                connect(server.address)
        monkeypatch.delenv("REGISTRY_TOKEN")
        monkeypatch.setenv("REGISTRY_TOKEN_FILE", str(token_file))
        assert connect(server.address).versions() == []
        monkeypatch.setenv("REGISTRY_TOKEN_FILE", str(tmp_path / "none"))
        with pytest.raises(InvalidParameter, match="REGISTRY_TOKEN_FILE"):
            connect(server.address)


def test_the_pods_own_token_never_goes_over_plain_http(tmp_path, monkeypatch):
    for name in ("REGISTRY_TOKEN", "REGISTRY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "token").write_text("pod")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    with serving(MEMORY, token="pod") as server, pytest.raises(RegistryUnreachable, match="HTTP 401"):
        connect(server.address)


@pytest.mark.parametrize("interface", ["v1alpha3", "v1"])
def test_a_registry_may_have_only_one_version_of_the_interface(interface):
    with serving(MEMORY, prefixes=(f"/api/model_registry/{interface}",)) as server:
        registry = connect(server.address)
        key = candidate(registry).model_version_id
        registry.set_approval(key, "approved", ["good"])
        assert registry.interface == interface
        assert properties(registry)["approval"] == "approved"


def test_what_is_no_registry_is_said():
    with serving(MEMORY) as server, pytest.raises(RegistryUnreachable, match="no model registry"):
        connect(f"{server.address}/elsewhere")


@contextmanager
def answering(status: int, body: bytes = b"", **headers: str) -> Iterator[tuple[str, list[dict]]]:
    """A server that gives everybody the same answer; yields its address and what it was asked."""
    asked: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            asked.append(dict(self.headers))
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


def test_a_log_in_page_is_not_followed_and_gets_no_token(monkeypatch):
    monkeypatch.setenv("REGISTRY_TOKEN", "sesame")
    with answering(200, b'{"items": []}') as (elsewhere, asked_there), answering(302, Location=elsewhere) as (first, _):
        with pytest.raises(RegistryUnreachable, match=r"login.*HTTP 302"):
            connect(first)
        assert asked_there == []


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"items": 7}'])
def test_a_page_of_something_else_is_no_registry(body):
    with answering(200, body) as (address, _), pytest.raises(RegistryUnreachable, match="is no model registry"):
        connect(address).versions()


def test_lists_are_read_over_several_pages(registry, monkeypatch):
    monkeypatch.setattr(connection, "PAGE_SIZE", 2)
    for number in range(5):
        published(registry, f"m{number}", number / 10, 100)
    assert [record.measurements["knowledge"]["acc"] for record in registry.records()] == [0, 0.1, 0.2, 0.3, 0.4]
    assert len(registry.versions()) == 5


@pytest.fixture
def certificate(tmp_path: Path) -> Iterator[Path]:
    """A self-signed certificate for this machine, with its key in the same file."""
    file = tmp_path / "ca.pem"
    command = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        ["openssl", *command.split(), "-keyout", file, "-out", tmp_path / "cert"], check=True, capture_output=True
    )
    file.write_text(file.read_text() + (tmp_path / "cert").read_text())
    return file


def test_https_needs_a_token_and_a_trusted_certificate(tmp_path, monkeypatch, certificate):
    for name in ("REGISTRY_TOKEN", "REGISTRY_TOKEN_FILE", "KF_PIPELINES_SA_TOKEN_PATH", "REGISTRY_CA_FILE"):
        monkeypatch.delenv(name, raising=False)
    with serving(MEMORY, token="t", certificate=certificate) as server:
        with pytest.raises(InvalidParameter, match="no token"):
            connect(server.address)
        (tmp_path / "token").write_text("t\n")
        monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
        with pytest.raises(RegistryUnreachable, match=r"not trusted.*REGISTRY_CA_FILE"):
            connect(server.address)
        monkeypatch.setenv("REGISTRY_CA_FILE", str(certificate))
        assert connect(server.address + "/").versions() == []


def test_it_works_inside_a_running_event_loop(registry_server):
    """Jupyter's cells run inside one."""

    async def cell() -> int:
        return len(connect("local").versions())

    assert asyncio.run(cell()) == 0
