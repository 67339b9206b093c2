"""A record is one run of MLflow, told again or not, and a server that fails loses nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from helpers.errors import InvalidParameter
from helpers.records import tracking
from helpers.records.tracking import client, content
from helpers.runtime import account
from tests.plugins.records import a_record, an_evaluation, some_samples
from tests.plugins.stored import measured, stored
from tests.records.tracking.scripted import scripted
from tests.registry.conftest import registry, run

__all__ = ["registry", "run"]
SECRET = "t0ken-that-nobody-may-see"


@pytest.fixture
def mlflow():
    with scripted() as server:
        yield server


@pytest.fixture
def record(tmp_path):
    samples = some_samples(0.5)
    return stored(a_record(samples=samples), samples, tmp_path)[0]


@pytest.fixture
def settings(mlflow):
    return tracking.Settings(uri=mlflow.url)


def test_a_record_is_one_run_with_bounds_data_and_files_however_often_it_is_told(mlflow, settings, record):
    for _ in range(2):
        assert not tracking.track(settings, record).startswith("WARNING")
    [run] = mlflow.runs
    assert {"key": content.RECORD, "value": record.record_id} in run["tags"]
    score = record.evaluation.metrics[0]
    names = ("knowledge/acc", "knowledge/acc_ci_low", "knowledge/acc_ci_high", "knowledge/acc_n")
    assert tuple(run["metrics"][name] for name in names) == (
        score.value, score.interval.low, score.interval.high, score.n,
    )  # fmt: skip
    assert run["metrics"]["chat/ttft_p95_ms"] == next(m.value for m in record.sweep.metrics if m.name == "ttft_p95_ms")
    [told] = run["inputs"]
    assert json.loads(told["dataset"]["source"])["digest"] == record.evaluation.dataset_digest
    there = {name.partition("/artifacts/assay/")[2]: data for name, data in mlflow.files.items()}
    assert set(there) == {"record.json", record.evaluation.samples, record.sweep.report}
    assert json.loads(there["record.json"])["digest"] == record.digest
    assert run["info"]["status"] == "FINISHED"


def test_a_run_that_was_begun_is_completed_and_no_second_one_is_made(mlflow, settings, record):
    mlflow.failures += [0, 0, 0, 0, 400]
    assert tracking.track(settings, record).startswith("WARNING")
    assert [run["info"]["status"] for run in mlflow.runs] == ["RUNNING"]
    mlflow.failures.clear()
    tracking.track(settings, record)
    assert [run["info"]["status"] for run in mlflow.runs] == ["FINISHED"]
    assert mlflow.runs[0]["metrics"]


def test_names_that_mlflow_does_not_take_are_changed_and_none_takes_anothers_place(mlflow, settings, tmp_path):
    samples = some_samples(0.5)
    evaluation = an_evaluation(samples)
    others = tuple(
        evaluation.metrics[0].model_copy(update={"name": name, "value": value})
        for name, value in (("pass@1,strict", 0.1), ("pass_1_strict", 0.2), ("x" * 300, 0.3))
    )
    found = a_record(evaluation=evaluation.model_copy(update={"others": others}))
    found, _ = stored(found, samples, tmp_path)
    assert not tracking.track(settings, found).startswith("WARNING")
    [run] = mlflow.runs
    assert (run["metrics"]["knowledge/pass_1_strict"], run["metrics"]["knowledge/pass_1_strict_2"]) == (0.1, 0.2)
    assert {0.3} <= set(run["metrics"].values())


def test_openshift_ais_server_gets_the_token_and_the_workspace(mlflow, settings, record, monkeypatch):
    mlflow.token, mlflow.workspace = SECRET, "evaluation"
    refused = tracking.track(settings, record)
    assert refused.startswith("WARNING")
    assert client.TOKEN in refused
    monkeypatch.setenv(client.TOKEN, SECRET)
    assert "Workspace context is required" in tracking.track(settings, record)
    monkeypatch.setenv(client.WORKSPACE, "evaluation")
    assert not tracking.track(settings, record).startswith("WARNING")


def test_a_pods_own_token_goes_over_https_only(mlflow, tmp_path, monkeypatch):
    (tmp_path / "token").write_text(SECRET)
    (tmp_path / "namespace").write_text("evaluation")
    monkeypatch.setattr(account, "FOLDER", tmp_path)
    assert client._headers("https://mlflow.example") == {}
    monkeypatch.setenv(client.AUTH, client.NAMESPACED)
    assert client._headers("https://mlflow.example")["Authorization"] == f"Bearer {SECRET}"
    assert client._headers(mlflow.url) == {"X-MLFLOW-WORKSPACE": "evaluation"}


@pytest.mark.parametrize("failure", ["away", "broken", "another", "elsewhere"])
def test_a_server_that_fails_costs_one_line_which_says_what_to_do_and_no_secret(
    mlflow, settings, record, monkeypatch, capfd, failure
):
    monkeypatch.setenv(client.TOKEN, SECRET)
    monkeypatch.setattr(client, "SECONDS", 0.2)
    if failure == "away":
        settings = tracking.Settings(uri="http://127.0.0.1:9")
    elif failure == "broken":
        mlflow.failures += [500] * 20
    elif failure == "another":
        mlflow.failures += [200] * 20
    else:
        mlflow.place = "s3://bucket/"
    said = tracking.track(settings, record)
    assert said.startswith("WARNING")
    assert "\n" not in said
    assert f"track {record.record_id}" in said
    assert SECRET not in said + "".join(capfd.readouterr())


def test_a_server_that_is_busy_is_asked_again(mlflow, settings, record):
    mlflow.failures += [503, 429]
    assert not tracking.track(settings, record).startswith("WARNING")


@pytest.mark.parametrize("uri", ["ftp://x", "mlflow", "http://user:secret@host", "https://host?token=secret"])
def test_what_is_no_address_is_refused_before_work_starts_and_not_repeated(uri):
    with pytest.raises(InvalidParameter) as refused:
        tracking.Settings(uri=uri)
    assert "secret" not in str(refused.value)


def test_a_record_is_told_later_by_a_command(registry, run, mlflow, tmp_path, monkeypatch):
    found = measured(registry, tmp_path)
    assert run("track", found.record_id)[0] == 1, "no server is named"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow.url)
    assert run("track", "nothing")[0] == 1
    code, said = run("track", found.record_id)
    assert (code, len(mlflow.runs)) == (0, 1), said.err
    assert re.search(rf"{found.record_id} .*{mlflow.runs[0]['info']['run_id']}", said.out)
    assert Path(tmp_path, "records", found.record_id).is_dir()
