"""Imported answers stand beside the registry's versions in one table: marked, paired, and never as fast as unknown."""

from __future__ import annotations

import shutil

import matplotlib
import pytest

from helpers import storage
from helpers.analysis import loading
from helpers.analysis.imported import beside, read_results
from helpers.analysis.recommendation import Needs, decide, load_prices
from helpers.artifacts import Evaluation
from helpers.datasets.criteria import load_criteria
from helpers.errors import InvalidResults, NotFound
from helpers.evaluation.samples import read_samples
from helpers.registry import connect
from helpers.reporting.page import Provenance, Sections, write_report
from helpers.runtime.workspace import ROOT
from tests.plugins.criteria import asked
from tests.plugins.models import CRITERIA, PRICES
from tests.plugins.records import a_record, a_sweep
from tests.plugins.stored import attach, repeated, stored

matplotlib.use("Agg")
FACTS = ROOT / "tests" / "facts" / "results"


@pytest.fixture
def registry(registry_server, tmp_path):
    """A registry with one measured version: SmolLM2's own answers, with a load test."""
    registry, folder = connect("local"), FACTS / "own" / "smollm2"
    evaluation = Evaluation.read_named("knowledge", folder)
    record = a_record("small", sweep=repeated(a_sweep()), evaluation=evaluation)
    record, uri = stored(record, read_samples(folder / evaluation.samples, "acc"), tmp_path / "store")
    report = tmp_path / "store" / record.record_id / evaluation.report
    raw = record.raw | {evaluation.report: storage.put(folder / evaluation.report, report.as_uri())}
    storage.put(record.model_copy(update={"raw": raw}).model_dump_json().encode(), uri)
    attach(registry, record, uri)
    return registry


@pytest.fixture
def results(tmp_path):
    """Two models' folders below one: the same as the registry's, and a better one."""
    for name in ("ops-large", "smollm2"):
        shutil.copytree(FACTS / "lm-eval-0.4.13" / name, tmp_path / "results" / name)
    return tmp_path / "results"


def compared(registry, place):
    criteria = load_criteria(CRITERIA)
    comparison = loading.compare_all(registry, loading.Filter(), criteria)
    return beside(comparison, read_results(str(place)), registry, criteria)


def test_imported_models_are_paired_with_measured_versions_and_marked(registry, results):
    comparison, _ = compared(registry, results)
    rows = {row.label: row for row in comparison.standings}
    assert sorted(rows) == [
        "ops-large imported (unverified)", "small 1.0", "smollm2-135m-instruct imported (unverified)",
    ]  # fmt: skip
    pairs = {frozenset((pair.first, pair.second)): pair.paired for pair in comparison.pairs}
    same = pairs[frozenset(("small 1.0", "smollm2-135m-instruct imported (unverified)"))]
    better = pairs[frozenset(("small 1.0", "ops-large imported (unverified)"))]
    assert (same.n, same.flips) == (36, 0)
    assert (better.n, better.verdict) == (36, "better")
    assert rows["small 1.0"].requests_per_second
    assert rows["ops-large imported (unverified)"].requests_per_second is None
    assert {row.name for row in comparison.tiers} == {"chat", "knowledge"}


def test_the_decision_and_the_report_hold_both(registry, results, tmp_path):
    comparison, imported = compared(registry, results)
    decision = decide(comparison, asked(), Needs(), load_prices(PRICES))
    assert decision.recommended == "ops-large imported (unverified)"
    assert not decision.sure  # nobody has seen which model answered
    records = [*loading.load(comparison, registry, decision.shown), *imported]
    page = write_report(Sections(comparison, decision, records), tmp_path).path.read_text()
    assert "ops-large imported (unverified)" in page
    assert "Latency against throughput" in page
    assert "read from" in Provenance(records).html()


def test_without_results_nothing_changes(registry):
    criteria = load_criteria(CRITERIA)
    comparison = loading.compare_all(registry, loading.Filter(), criteria)
    assert beside(comparison, read_results("none"), registry, criteria) == (comparison, [])


def test_what_is_no_folder_of_models_is_refused(tmp_path):
    with pytest.raises(NotFound):
        read_results(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidResults, match="is empty"):
        read_results(str(tmp_path / "empty"))


def test_what_holds_no_answers_to_the_task_is_said(registry, tmp_path):
    (tmp_path / "results").mkdir()
    shutil.copy(FACTS / "promptfoo-0.121.20" / "ops-large.json", tmp_path / "results")
    comparison, imported = compared(registry, tmp_path / "results")
    assert imported == []
    assert "ops-large: holds no answers to ops_assistant" in comparison.not_compared
