"""The same against MLflow itself, in an environment of its own: `make mlflow`."""

from __future__ import annotations

import httpx
import pytest

from helpers.records import tracking
from helpers.records.tracking.content import LONGEST_DIGEST
from tests.plugins.records import a_record, an_evaluation, some_samples
from tests.plugins.stored import stored
from tests.records.tracking.server import mlflow

pytestmark = [pytest.mark.build, pytest.mark.timeout(600)]


def test_a_record_becomes_one_run_of_a_real_mlflow(tmp_path):
    samples = some_samples(0.5)
    evaluation = an_evaluation(samples)
    odd = evaluation.metrics[0].model_copy(update={"name": "pass@1,strict"})
    record = a_record(evaluation=evaluation.model_copy(update={"others": (odd,)}))
    record, _ = stored(record, samples, tmp_path / "records")
    folder = tmp_path / "mlflow"
    folder.mkdir()
    with mlflow(folder) as url:
        settings = tracking.Settings(uri=url, experiment="assay tests")
        said = [tracking.track(settings, record) for _ in range(2)]
        assert not [each for each in said if each.startswith("WARNING")]
        api = f"{url}/api/2.0/mlflow"
        name = {"experiment_name": "assay tests"}
        experiment = httpx.get(f"{api}/experiments/get-by-name", params=name).json()["experiment"]["experiment_id"]
        [run] = httpx.post(f"{api}/runs/search", json={"experiment_ids": [experiment]}).json()["runs"]
        found = {each["key"]: each["value"] for each in run["data"]["metrics"]}
        interval = record.evaluation.interval
        assert (found["knowledge/acc_ci_low"], found["knowledge/acc_ci_high"]) == (interval.low, interval.high)
        assert found["knowledge/pass_1_strict"] == odd.value
        [told] = run["inputs"]["dataset_inputs"]
        digest = record.evaluation.dataset_digest.removeprefix("sha256:")
        assert told["dataset"]["digest"] == digest[:LONGEST_DIGEST]
        where = {"run_id": run["info"]["run_id"], "path": "assay"}
        files = httpx.get(f"{api}/artifacts/list", params=where).json()["files"]
        names = {each["path"].partition("/")[2] for each in files}
        assert names == {"record.json", record.evaluation.samples, record.sweep.report}
        assert run["info"]["status"] == "FINISHED"
