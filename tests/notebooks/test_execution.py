"""Every notebook, executed by papermill as a person or a pipeline would, against the real tools."""

from __future__ import annotations

import json

import papermill
import pytest

from helpers import serving
from helpers.analysis.comparison import Comparison
from helpers.artifacts import Endpoint, Evaluation, LoadTest, Record, Selection
from helpers.registry import connect
from helpers.runtime import processes
from helpers.runtime.workspace import ROOT
from tests.plugins.kernels import execute as execute_notebook
from tests.plugins.models import POLICY, PRICES
from tests.plugins.registry import serving as registry_at

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
STAGES = {
    "ingest_model": {"model_name": "tiny"},
    "deploy_model": {"max_model_len": 1024, "require_approval": False},
    "guidellm_sweep": {
        "workload": "chatbot",
        "scale": "0.05",
        "sweep_size": 3,
        "min_requests": "8",
        "slo_ttft_ms": "60000",
    },
    "lm_eval_task": {},
    "log_results": {"purpose": "baseline", "decide_approval": True, "criteria": "lenient.yaml"},
    "registry_lookup": {"model_name": "tiny"},
    "compare_models": {"purpose": "baseline"},
    "remove_deployment": {},
}


class Workspace:
    """A folder in which the notebooks run one after the other; asking for one runs what it needs first."""

    def __init__(self, folder, address, source):
        self.folder, self.done = folder, {}
        store = (folder / "store").as_uri()
        self.common = {"registry": address, "store": store, "model_store": store, "source": str(source)}

    def run(self, stage):
        for name in list(STAGES)[: list(STAGES).index(stage) + 1]:
            if name not in self.done:
                self.done[name] = self._execute(name)
        return self.done[stage]

    def _execute(self, name):
        notebook = ROOT / "notebooks" / f"{name}.ipynb"
        known = set(papermill.inspect_notebook(str(notebook)))
        given = STAGES[name] | {key: value for key, value in self.common.items() if key in known}
        assert set(given) <= known
        return execute_notebook(notebook, self.folder / f"{name}.ipynb", parameters=given, cwd=self.folder)

    def read(self, artifact):
        return artifact.read(self.folder / "artifacts")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, tiny_model):
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "datasets").symlink_to(ROOT / "datasets")
    (folder / PRICES.name).symlink_to(PRICES)
    (folder / POLICY.name).symlink_to(POLICY)
    (folder / "lenient.yaml").write_text('knowledge.acc: {must: ">= 0.1"}\n')  # the tiny model has learnt nothing
    with pytest.MonkeyPatch.context() as patch, registry_at(folder / "registry.db") as server:
        patch.setenv("ASSAY_HOME", str(folder / "home"))
        yield Workspace(folder, server.address, tiny_model)
        for running in processes.all_running():
            processes.end(running)


@pytest.fixture(autouse=True)
def home(workspace, monkeypatch):
    monkeypatch.setenv("ASSAY_HOME", str(workspace.folder / "home"))


def test_ingest_model_registers_a_candidate(workspace):
    workspace.run("ingest_model")
    selection = workspace.read(Selection)
    assert (selection.name, selection.version) == ("tiny", "1.0.0")
    assert connect(selection.registry).versions()[0].name == "tiny"


def test_deploy_model_serves_what_was_selected(workspace):
    executed = workspace.run("deploy_model")
    endpoint = workspace.read(Endpoint)
    assert endpoint.digest == workspace.read(Selection).digest
    assert endpoint.max_model_len == 1024
    assert endpoint.startup_seconds > 0
    texts = [output.get("text", "") for cell in executed.cells for output in cell.get("outputs", ())]
    assert any("vLLM starts for tiny" in text for text in texts), "a person sees that it is alive"


def test_guidellm_sweep_finds_an_operating_point(workspace):
    workspace.run("guidellm_sweep")
    sweep = LoadTest.read_named("chat", workspace.folder / "artifacts")
    assert len(sweep.points) == 3
    assert sweep.chosen is not None
    assert sweep.chosen.errored == 0
    assert sweep.prefix_cache.hit_rate < 0.2
    report = json.loads((workspace.folder / "artifacts" / sweep.report).read_text())
    assert len(report["benchmarks"]) == 3


def test_lm_eval_task_scores_every_question_asked(workspace):
    workspace.run("lm_eval_task")
    evaluation = Evaluation.read_named("knowledge", workspace.folder / "artifacts")
    assert (evaluation.n, evaluation.total, evaluation.failed) == (208, 208, 0)
    assert evaluation.interval.low < evaluation.score < evaluation.interval.high
    lines = (workspace.folder / "artifacts" / evaluation.samples).read_text().splitlines()
    assert len(lines) == 208


def test_log_results_records_and_approves(workspace):
    workspace.run("log_results")
    record = workspace.read(Record)
    [version] = connect(record.selection.registry).versions()
    assert record.approval.state == version.properties["approval"] == "approved"
    assert version.properties["baseline.knowledge.acc"] == pytest.approx(record.evaluation.score)
    assert (workspace.folder / "artifacts" / "catalog" / "performance.ndjson").stat().st_size
    assert (workspace.folder / "artifacts" / "catalog.zip").stat().st_size


def test_registry_lookup_selects_it(workspace):
    workspace.run("registry_lookup")
    assert workspace.read(Selection).reason
    assert "tiny" in (workspace.folder / "artifacts" / "shortlist.csv").read_text()


def test_compare_models_works_with_one_model(workspace):
    workspace.run("compare_models")
    comparison = workspace.read(Comparison)
    assert [row.name for row in comparison.standings] == ["tiny"]
    assert comparison.verdict
    assert (workspace.folder / "artifacts" / "comparison.png").stat().st_size > 10_000


def test_remove_deployment_frees_it(workspace):
    workspace.run("remove_deployment")
    assert "is removed" in workspace.read(serving.Removal).removed[0]
    assert processes.all_running() == []
