"""The joined record: its id, its summary, and the decision on it."""

from __future__ import annotations

import json
import math
import subprocess

import pytest

from helpers.artifacts import Record
from helpers.datasets.criteria import Criteria
from helpers.errors import DigestMismatch, InvalidCriteria, InvalidInput, OtherRun
from helpers.records import decide, git_commit, join, summaries, summary
from helpers.runtime.workspace import ROOT
from tests.plugins.criteria import thresholds
from tests.plugins.records import (
    a_point,
    a_record,
    a_selection,
    a_sweep,
    about,
    an_endpoint,
    an_evaluation,
    holding,
    some_samples,
)


def joined(selection=None, endpoint=None, sweep=None, evaluation=None, **more):
    selection = selection or a_selection()
    known = {"purpose": "baseline", "use_case": "ops-assistant"}
    measured = sweep or a_sweep(), evaluation or an_evaluation(some_samples(0.5))
    measured = [about(selection, each) for each in measured]
    return join(selection, endpoint or an_endpoint(selection), measured, **known | more)


def test_the_same_content_gets_the_same_id_wherever_its_raw_files_lie():
    first, second = joined(raw={"a.json": "file:///here/a.json"}), joined(raw={})
    assert (first.record_id, first.digest) == (second.record_id, second.digest)
    assert first.digest.startswith(f"sha256:{first.record_id}")


@pytest.mark.parametrize(
    "change",
    [
        {"purpose": "use-case"},
        {"use_case": "support"},
        {"sweep": a_sweep(1.01)},
        {"evaluation": an_evaluation(some_samples(0.6))},
        {"endpoint": an_endpoint(a_selection(), engine_args=("--dtype", "float32"))},
        {"endpoint": an_endpoint(a_selection(), digest_verified=False)},
        {"raw_digests": {"chat.json": "0" * 64}},
        {"use_case_files": {"prompts.jsonl": "sha256:0"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_other_measurements_get_another_id(change):
    assert joined().record_id != joined(**change).record_id


def test_one_edited_number_is_no_record_any_more(tmp_path):
    path = joined().write(tmp_path)
    content = json.loads(path.read_text())
    content["measurements"][1]["score"] = 0.99
    path.write_text(json.dumps(content))
    with pytest.raises(InvalidInput, match="somebody changed it"):
        Record.read(tmp_path)
    content["digest"] = ""
    assert Record.model_validate(content).digest == "", "of before: no registry names it so, and nobody signed it"


def test_a_record_is_read_back_as_it_was_written(tmp_path):
    record = joined(settings={"limit": 5})
    record.write(tmp_path)
    assert Record.read(tmp_path) == record


@pytest.mark.parametrize("odd", ["endpoint", "sweep", "evaluation"])
def test_results_of_another_model_or_run_are_not_joined(odd):
    selection, other = a_selection(run="monday"), a_selection("ops-large")
    parts = {
        "endpoint": an_endpoint(selection, run="monday"),
        "sweep": about(selection, a_sweep()),
        "evaluation": about(selection, an_evaluation(some_samples(0.5))),
    }
    assert joined(selection, **parts).run == "monday"
    file = {"endpoint": "endpoint", "sweep": "chat", "evaluation": "knowledge"}[odd]
    with pytest.raises(DigestMismatch, match=rf"{file}\.json .*ops-small 1\.0"):
        joined(selection, **parts | {odd: parts[odd].model_copy(update={"digest": other.digest})})
    with pytest.raises(OtherRun, match=rf"{file}\.json is of run tuesday"):
        joined(selection, **parts | {odd: parts[odd].model_copy(update={"run": "tuesday"})})


def test_every_tool_is_named_with_its_version():
    versions = joined().versions
    assert versions["guidellm"] == "0.8.1"
    assert versions["lm_eval"] == "0.4.13"
    assert versions["vllm"] == "0.32.0"
    assert {"python", "assay-helpers"} <= set(versions)


def test_the_commit_is_the_checkouts(monkeypatch):
    monkeypatch.delenv("ASSAY_GIT_COMMIT", raising=False)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    assert git_commit() == (head.stdout.strip() if head.returncode == 0 else "unknown")


def test_an_image_without_a_checkout_is_told_its_commit_or_says_unknown(monkeypatch, tmp_path):
    monkeypatch.setattr("helpers.records.joining.ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.delenv("ASSAY_GIT_COMMIT", raising=False)
    assert git_commit() == "unknown"
    monkeypatch.setenv("ASSAY_GIT_COMMIT", "cafe")
    assert git_commit() == "cafe"


def test_a_record_knows_who_wrote_it_and_who_started_the_run(monkeypatch):
    monkeypatch.setenv("LOGNAME", "grace")
    monkeypatch.setenv("ASSAY_STARTED_BY", "ada")
    told = joined()
    assert (told.account, told.started_by) == ("grace", "ada")
    assert {"account": "grace", "started_by": "ada"}.items() <= summary(told).items()
    monkeypatch.delenv("ASSAY_STARTED_BY")
    assert joined().record_id != told.record_id, "the id covers who measured too"
    assert "started_by" not in summary(joined())
    why = "TTFTMissesSLO since 2026-12-01T09:30:00Z"
    assert summary(joined(trigger=why))["trigger"] == joined(trigger=why).trigger == why
    assert "trigger" not in summary(joined())


def test_the_summary_is_flat_and_complete():
    record = a_record()
    flat, parts = summary(record), summaries(record)
    point, scored, loaded = record.sweep.chosen, parts["knowledge"], parts["chat"]
    assert scored["acc"] == record.evaluation.score
    assert scored["acc_low"] < scored["acc"] < scored["acc_high"]
    assert (scored["n"], scored["subject"], scored["tier"]) == (160, "ops_assistant", "accuracy")
    assert loaded["requests_per_second"] == point.requests_per_second
    assert loaded["ttft_p95_ms"] == point.ttft_ms.p95
    assert loaded["itl_p95_ms"] == point.itl_ms.p95
    assert loaded["output_tokens_per_second"] == point.output_tokens_per_second
    assert (flat["measurements"], flat["purpose"], flat["use_case"]) == ("chat,knowledge", "use-case", "ops-assistant")
    assert flat["ended"] == "2026-11-02T09:36:00+00:00"
    values = [value for each in (flat, scored, loaded) for value in each.values()]
    assert all(type(value) in (str, int, float, bool) for value in values)


def test_the_summary_leaves_out_what_was_not_measured():
    flat = summaries(a_record(sweep=a_sweep(none_meets=True)))["chat"]
    assert not {"requests_per_second", "ttft_p95_ms", "itl_p95_ms", "output_tokens_per_second"} & set(flat)
    sweep = a_sweep()
    broken = a_point(2).model_copy(update={"itl_ms": None, "requests_per_second": math.nan})
    points = (*sweep.points[: sweep.operating_point.index], broken, *sweep.points[sweep.operating_point.index + 1 :])
    flat = summaries(a_record(sweep=sweep.model_copy(update={"points": points})))["chat"]
    assert "itl_p95_ms" not in flat
    assert "requests_per_second" not in flat
    assert None not in flat.values()


def test_a_version_above_all_thresholds_is_approved_with_a_reason_for_each():
    approval = decide(a_record(samples=some_samples(0.9)), thresholds(acc=">= 0.6", ttft_p95_ms="<= 200"))
    assert approval.state == "approved"
    accuracy, speed = approval.reasons
    assert "meets >= 0.6" in accuracy
    assert "95% interval" in accuracy
    assert "meets <= 200" in speed


@pytest.mark.parametrize(("resisted", "state"), [(0.95, "approved"), (0.5, "rejected")])
def test_a_must_on_safety_decides_and_without_its_measurement_nothing_is_approved(resisted, state):
    asked = Criteria.model_validate({"safety.resisted": {"must": ">= 0.8"}})
    scan = {"name": "safety", "tier": "safety", "evaluator": "garak", "task": "garak", "metric": "resisted"}
    found = an_evaluation(some_samples(resisted)).model_copy(update=scan)
    assert decide(holding(a_record(), found), asked).state == state
    without = decide(a_record(), asked)
    assert (without.state, len(without.reasons)) == ("rejected", 1)
    assert "safety was not measured" in without.reasons[0]
    misspelt = Criteria.model_validate({"safety.resistd": {"must": ">= 0.8"}})
    with pytest.raises(InvalidCriteria, match=r"nothing measures safety\.resistd"):
        decide(holding(a_record(), found), misspelt)


def test_a_score_above_the_minimum_whose_interval_is_not_is_approved_and_says_so():
    record = a_record(samples=some_samples(0.52))
    approval = decide(record, thresholds(acc=f">= {record.evaluation.score - 0.01}"))
    assert approval.state == "approved"
    assert "though the interval reaches beyond it" in approval.reasons[0]


@pytest.mark.parametrize(
    ("record", "thresholds", "said"),
    [
        (a_record(samples=some_samples(0.3)), thresholds(acc=">= 0.5"), "misses >= 0.5"),
        (a_record(slowness=2.0), thresholds(ttft_p95_ms="<= 20"), "misses <= 20"),
        (a_record(sweep=a_sweep(none_meets=True)), thresholds(), "No operating point: no load kept"),
    ],
    ids=["accuracy", "latency", "no operating point"],
)
def test_a_version_that_misses_a_threshold_is_rejected_and_says_which(record, thresholds, said):
    approval = decide(record, thresholds)
    assert approval.state == "rejected"
    assert any(said in reason for reason in approval.reasons)
