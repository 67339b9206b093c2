"""The gate as a notebook: it finds the baseline, writes its report, and ends the pipeline where it is not passed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from helpers import storage
from helpers.artifacts import FOLDER
from helpers.errors import GateFailed, GateInconclusive, InvalidParameter, InvalidPolicy, NotFound
from helpers.gate import Judgement, Settings, enforce, hold
from helpers.records import summary
from helpers.registry import connect
from helpers.workspace import ROOT
from tests.gate.test_gate import STEADY, answers, sweep
from tests.plugins.kernels import execute
from tests.plugins.records import START, a_record, write_samples

POLICY = ROOT / "pipelines" / "gate.yaml"


@pytest.fixture
def registry(registry_server):
    return connect(registry_server.address)


@pytest.fixture
def logged(registry, tmp_path):
    """Log a record as log_results does, and return it."""

    def log(name="ops", version="1.0", wrong=range(100), *, days=0, approved=True, ttft=STEADY, **known):
        when, samples = START + timedelta(days=days), answers(set(wrong))
        folder = tmp_path / "store" / f"{name}-{version}-{days}"
        folder.mkdir(parents=True)
        record = a_record(name, version, samples=samples, sweep=sweep(*ttft), when=when, **known)
        selection = registry.register_candidate(
            name, version, uri="file:///model", digest=record.selection.digest, size_bytes=1, license="mit"
        )
        log = write_samples(samples, folder / record.evaluation.samples)
        raw = {record.evaluation.samples: log.as_uri()}
        record = record.model_copy(update={"raw": raw, "selection": selection})
        uri = storage.put(record.model_dump_json().encode(), (folder / "record.json").as_uri())
        registry.attach_record(selection.model_version_id, record.record_id, uri, summary(record))
        if approved:
            registry.set_approval(selection.model_version_id, "approved", ("test",))
        return record

    return log


@pytest.fixture
def held(registry, tmp_path):
    def hold_(candidate, **given):
        candidate.write(tmp_path / "artifacts")
        return hold(Settings(gate_policy=POLICY, **given), registry, tmp_path / "artifacts")

    return hold_


def test_the_baseline_is_the_newest_approved_version_of_the_same_model(logged, held):
    logged(version="1.0", days=0)
    expected = logged(version="1.1", days=1)
    logged(version="1.2", days=2, approved=False)
    logged("other", version="9.0", days=3)
    logged(version="1.1", days=4, use_case="another")
    candidate = logged(version="2.0", days=5, approved=False)
    logged(version="1.0", days=6)  # measured after the candidate
    assert expected.record_id in held(candidate).baseline


def test_a_version_without_a_forerunner_is_held_against_its_own_earlier_record(logged, held):
    first = logged(days=0)
    assert first.record_id in held(logged(days=1)).baseline


def test_a_baseline_can_be_named(logged, held):
    logged("other", version="9.0", approved=False)
    candidate = logged(version="2.0", days=1)
    assert held(candidate, baseline_name="other", baseline_version="9.0").baseline.startswith("other 9.0 ")


def test_without_a_baseline_it_says_what_to_set(logged, held):
    with pytest.raises(NotFound, match=r"No record of ops in an approved or earlier version.*Set BASELINE_NAME"):
        held(logged())


def test_what_is_worse_stops_and_leaves_its_report(logged, held, tmp_path):
    logged(version="1.0")
    judgement = held(logged(version="2.0", wrong=range(200), days=1))
    with pytest.raises(GateFailed, match=r"^ops 2.0 .*is worse than ops 1.0 .*accuracy -0\.\d+"):
        enforce(Settings(), judgement)
    assert Judgement.read(tmp_path / "artifacts") == judgement
    assert "## ops 2.0" in (tmp_path / "artifacts" / "gate.md").read_text()


def test_an_open_question_stops_unless_it_may_pass(logged, held):
    logged(version="1.0")
    judgement = held(logged(version="2.0", ttft=(), days=1))
    with pytest.raises(GateInconclusive, match=r"TTFT p95 not measured often enough.*ON_INCONCLUSIVE=pass"):
        enforce(Settings(), judgement)
    enforce(Settings(on_inconclusive="pass"), judgement)


def test_a_bad_parameter_or_policy_is_refused_before_anything_is_read(registry, tmp_path):
    with pytest.raises(InvalidParameter, match="ON_INCONCLUSIVE"):
        Settings(on_inconclusive="maybe")
    (tmp_path / "gate.yaml").write_text("accuracy: -1\n")
    with pytest.raises(InvalidPolicy, match=r"gate\.yaml:1: accuracy"):
        hold(Settings(gate_policy=tmp_path / "gate.yaml"), registry, tmp_path)


@pytest.mark.parametrize(("wrong", "ends"), [(range(100), None), (range(200), "GateFailed")])
def test_the_notebook_ends_a_pipeline_where_the_gate_is_not_passed(logged, registry, tmp_path, wrong, ends):
    logged(version="1.0")
    logged(version="2.0", wrong=wrong, days=1).write(tmp_path / FOLDER)
    (tmp_path / "gate.yaml").symlink_to(POLICY)
    notebook = ROOT / "notebooks" / "regression_gate.ipynb"
    given = {"registry": registry.address}
    if ends is None:
        execute(notebook, tmp_path / "out.ipynb", parameters=given, cwd=tmp_path)
    else:
        with pytest.raises(Exception, match=ends):
            execute(notebook, tmp_path / "out.ipynb", parameters=given, cwd=tmp_path)
    assert Judgement.read(tmp_path / FOLDER).state == ("pass" if ends is None else "fail")
    assert "ops 2.0" in (tmp_path / "out.ipynb").read_text()
