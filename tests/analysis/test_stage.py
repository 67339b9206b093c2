"""The gate as a notebook: it finds the baseline, writes its report, and ends the pipeline where it is not passed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from helpers import storage
from helpers.analysis.gate import Judgement, Settings, enforce, hold
from helpers.analysis.gate.__main__ import main
from helpers.analysis.gate.exits import NOT_JUDGED
from helpers.artifacts import FOLDER
from helpers.errors import GateFailed, GateInconclusive, InvalidCriteria, InvalidParameter, NotFound
from helpers.records import summaries, summary
from helpers.registry import Verdict, connect
from helpers.runtime.workspace import ROOT
from tests.analysis.test_gate import STEADY, answers, sweep
from tests.plugins.kernels import execute
from tests.plugins.models import CRITERIA
from tests.plugins.records import START, a_record, write_samples


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
        record = record.model_copy(update={"raw": raw, "selection": selection}).sealed()
        uri = storage.put(record.model_dump_json().encode(), (folder / "record.json").as_uri())
        registry.attach_record(selection.model_version_id, record.record_id, uri, summary(record), summaries(record))
        if approved:
            registry.set_approval(selection.model_version_id, "approved", ("test",))
        return record

    return log


@pytest.fixture
def held(registry, tmp_path):
    def hold_(candidate, **given):
        candidate.write(tmp_path / "artifacts")
        return hold(Settings(criteria=CRITERIA, **given), registry, tmp_path / "artifacts")

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


WORSE, SAME = range(200), range(100)


def test_a_regression_that_stays_stays_red_until_a_person_accepts_it(logged, held, registry, capsys):
    good = logged(days=0)
    for days in (1, 2, 3):
        judgement = held(logged(days=days, wrong=WORSE))
        assert (judgement.state, good.record_id in judgement.baseline) == ("fail", True), days
    with pytest.raises(GateFailed, match=f"--accept {judgement.record_id} --reason") as failed:
        enforce(Settings(), judgement)
    command = failed.value.do.partition("helpers.analysis.gate ")[2].partition(",")[0].replace("WHY", "faster").split()
    assert main([*command, "--by", "Kim", "--registry", registry.address]) == 0
    assert f"Record {judgement.record_id} of ops 1.0 is accepted" in capsys.readouterr().out
    accepted = held(logged(days=4, wrong=WORSE))
    assert judgement.record_id in accepted.baseline
    assert accepted.state == "pass"


def test_the_run_that_was_refused_can_be_retried_once_its_record_is_accepted(logged, held, registry):
    logged(days=0)
    candidate = logged(days=1, wrong=WORSE)
    assert held(candidate).state == "fail"
    accepted = Verdict(candidate.record_id, "accepted", by="Kim", reason="half the price")
    registry.add_verdict(candidate.selection.model_version_id, accepted)
    judgement = held(candidate)
    assert judgement.state == "fail"
    assert "Kim: half the price" in judgement.markdown()
    enforce(Settings(), judgement)
    assert [verdict.state for verdict in registry.verdicts()] == ["fail", "accepted"], "and stays accepted"


def test_the_baseline_moves_on_with_what_passes(logged, held):
    logged(days=0)
    passed = logged(days=1)
    assert held(passed).state == "pass"
    assert passed.record_id in held(logged(days=2, wrong=WORSE)).baseline
    assert passed.record_id in held(logged(days=3)).baseline


def test_what_was_logged_and_never_judged_is_no_baseline_once_the_gate_judges(logged, held):
    first = logged(days=0)
    with pytest.raises(NotFound, match="held against this one"):
        held(first)
    logged(days=1, wrong=WORSE)  # its pod was killed before the gate
    assert first.record_id in held(logged(days=2, wrong=WORSE)).baseline


def test_an_open_question_that_may_pass_is_no_baseline(logged, held):
    good = logged(days=0)
    judgement = held(logged(days=1, ttft=()), on_inconclusive="pass")
    assert judgement.state == "inconclusive"
    assert good.record_id in held(logged(days=2)).baseline


def test_a_refused_record_of_an_approved_version_is_no_baseline_of_the_next(logged, held):
    good = logged(version="1.0", days=0)
    assert held(logged(version="1.0", days=1, wrong=WORSE)).state == "fail"
    assert good.record_id in held(logged(version="2.0", days=2, wrong=WORSE)).baseline


def test_where_all_were_refused_it_says_so_and_how_one_is_accepted(logged, held):
    logged("other", version="9.0")
    refused = logged(days=1, wrong=WORSE)
    assert held(refused, baseline_name="other", baseline_version="9.0").state == "fail"
    for days in (2, 3):
        with pytest.raises(NotFound, match=f"has passed the gate: {refused.record_id}.* did not.*--accept"):
            held(logged(days=days, wrong=WORSE))


@pytest.mark.parametrize(
    ("given", "said"), [(["--accept", "0" * 16, "--reason", "x"], "no record"), (["--accept"], "without a reason")]
)
def test_nothing_is_accepted_without_a_record_and_a_reason(given, said, logged, registry, capsys):
    given = given if len(given) > 1 else [*given, logged().record_id]
    assert main([*given, "--registry", registry.address]) == NOT_JUDGED
    assert said in capsys.readouterr().err
    assert registry.verdicts() == []


def test_judging_again_adds_no_verdict(logged, held, registry):
    logged(days=0)
    candidate = logged(days=1)
    held(candidate)
    held(candidate)
    assert [verdict.state for verdict in registry.verdicts()] == ["pass"]


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
    with pytest.raises(GateFailed, match=r"^ops 2.0 .*is worse than ops 1.0 .*knowledge.acc -0\.\d+"):
        enforce(Settings(), judgement)
    assert Judgement.read(tmp_path / "artifacts") == judgement
    assert "## ops 2.0" in (tmp_path / "artifacts" / "gate.md").read_text()


def test_an_open_question_stops_unless_it_may_pass(logged, held):
    logged(version="1.0")
    judgement = held(logged(version="2.0", ttft=(), days=1))
    with pytest.raises(GateInconclusive, match=r"chat.ttft_p95_ms not measured often enough.*ON_INCONCLUSIVE=pass"):
        enforce(Settings(), judgement)
    enforce(Settings(on_inconclusive="pass"), judgement)


def test_a_bad_parameter_or_bad_criteria_are_refused_before_anything_is_read(registry, tmp_path):
    with pytest.raises(InvalidParameter, match="ON_INCONCLUSIVE"):
        Settings(on_inconclusive="maybe")
    (tmp_path / "mine.yaml").write_text("knowledge.acc: {tolerance: -1}\n")
    with pytest.raises(InvalidCriteria, match=r"mine\.yaml:1: knowledge.acc"):
        hold(Settings(criteria=tmp_path / "mine.yaml"), registry, tmp_path)


@pytest.mark.parametrize(("wrong", "ends"), [(range(100), None), (range(200), "GateFailed")])
def test_the_notebook_ends_a_pipeline_where_the_gate_is_not_passed(logged, registry, tmp_path, wrong, ends):
    logged(version="1.0")
    logged(version="2.0", wrong=wrong, days=1).write(tmp_path / FOLDER)
    (tmp_path / "datasets").symlink_to(ROOT / "datasets")
    notebook = ROOT / "notebooks" / "regression_gate.ipynb"
    given = {"registry": registry.address}
    if ends is None:
        execute(notebook, tmp_path / "out.ipynb", parameters=given, cwd=tmp_path)
    else:
        with pytest.raises(Exception, match=ends):
            execute(notebook, tmp_path / "out.ipynb", parameters=given, cwd=tmp_path)
    assert Judgement.read(tmp_path / FOLDER).state == ("pass" if ends is None else "fail")
    assert "ops 2.0" in (tmp_path / "out.ipynb").read_text()
