"""What `make run` leaves behind: a real model, tuned for real, real vLLM, GuideLLM, lm-eval and registry."""

from __future__ import annotations

import html
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psutil
import pytest

from helpers.analysis.gate import Judgement
from helpers.analysis.recommendation import Decision
from helpers.artifacts import Record
from helpers.pipelines import Pipeline
from helpers.pipelines import outputs as node_outputs
from helpers.registry import connect
from helpers.runtime.polling import wait_for
from helpers.runtime.workspace import ROOT
from tests.plugins.kernels import execute as execute_notebook

pytestmark = [pytest.mark.stack, pytest.mark.timeout(3000)]
MODELS = ("smollm2-135m-instruct", "smollm2-135m-instruct-ops-assistant")
# No speed is asserted: each load may end early, and on a busy machine a first token may take as long as it likes.
BRIEF = ("MIN_REQUESTS=10", "MAX_CONCURRENCY=4", "REPEATS=1", "SLO_TTFT_MS=600000")
RUNS = {"model-ops": 2, "ai-engineer": 2, "fine-tune": 1}
QUICK = ("EPOCHS=1",)  # half of what the shipped recipe takes


UNHURRIED = """
import sys
from helpers.local import run
run.PIPELINES["model-ops"]["CRITERIA"] = sys.argv.pop(1)
sys.exit(run.main())
"""


def unhurried(folder):
    """`make run` whose baseline has no limit on the time to first token."""
    (folder / "unhurried.yaml").write_text('knowledge.acc: {must: ">= 0.3"}\n')
    return [sys.executable, "-c", UNHURRIED, folder / "unhurried.yaml"]


def environment(home):
    return {**os.environ, "ASSAY_HOME": str(home), "PYTHONUNBUFFERED": "1"}


def new_home(folder):
    """A stack of its own, with the sample models that `make run` caches too."""
    (ROOT / ".assay" / "samples").mkdir(parents=True, exist_ok=True)
    (folder / "home").mkdir()
    (folder / "home" / "samples").symlink_to(ROOT / ".assay" / "samples")
    return folder / "home"


def processes_of(home, word=""):
    """Everything that runs with this home in its environment, or only what has `word` in its command."""
    found = []
    for process in psutil.process_iter(["environ", "cmdline"]):
        ours = (process.info["environ"] or {}).get("ASSAY_HOME") == str(home)
        if ours and word in " ".join(process.info["cmdline"] or ()):
            found.append(process)
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One whole run: (its folder, what it printed, its home)."""
    folder = tmp_path_factory.mktemp("end-to-end")
    home = new_home(folder)
    command = [*unhurried(folder), "--runs", folder / "runs", "--name", "one", *BRIEF, *QUICK]
    done = subprocess.run(command, cwd=ROOT, env=environment(home), capture_output=True, text=True, timeout=2700)
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        yield folder / "runs" / "one", done.stdout, home
    finally:
        down = [sys.executable, "-m", "helpers.local.stack", "down"]
        subprocess.run(down, cwd=ROOT, env=environment(home), check=True, capture_output=True, timeout=60)
    assert not processes_of(home)


@pytest.fixture
def at_home(finished, monkeypatch):
    """This process as one of the run's own account: it has the registry's token and trusts the run's keys."""
    monkeypatch.setenv("ASSAY_HOME", str(finished[2]))


def read_json(path):
    return json.loads(path.read_text())


def artifacts(run, pipeline, model):
    return run / f"{pipeline}-{model}" / "notebooks" / "artifacts"


def test_every_stage_is_told_in_one_line_with_its_time(finished):
    run, printed, _ = finished
    runs = Counter(
        stage for name, times in RUNS.items() for stage in [*dict.fromkeys(Pipeline(name).wanted({}).stages)] * times
    )
    for stage, times in runs.items():
        assert len(re.findall(rf"^  {stage} +\S.* \d+\.\d s$", printed, re.MULTILINE)) == times, stage
    assert f"{MODELS[1]} 1.0.0" in printed
    assert (run.parent / "latest").resolve() == run


def test_the_summary_has_what_a_reader_needs(finished):
    run, printed, _ = finished
    summary = json.loads((run / "summary.json").read_text())
    assert [entry["name"] for entry in summary["models"]] == list(MODELS)
    for entry in summary["models"]:
        accuracy, point = entry["accuracy"], entry["operating_point"]
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", entry["digest"])
        assert accuracy["low"] < accuracy["score"] < accuracy["high"]
        assert accuracy["n"] >= 150
        assert point["requests_per_second"] > 0
        assert point["ttft_p95_ms"] > 0
        assert point["itl_p95_ms"] > 0
        assert point["output_tokens_per_second"] > 0
        assert all(entry["registry"].values())
        assert entry["verdict"]
    assert (run / summary["comparison"]).is_file()
    assert summary["decision"] in html.unescape((run / summary["report"]).read_text())
    assert summary["decision"] in printed


@pytest.mark.usefixtures("at_home")
def test_the_tuned_model_is_held_against_its_parent(finished):
    run, _, _ = finished
    folder = run / f"fine-tune-{MODELS[0]}" / "notebooks" / "artifacts"
    parent, tuned = (Record.read(artifacts(run, "ai-engineer", model)) for model in MODELS)
    assert (tuned.parent, parent.parent) == (parent.selection.digest, "")
    assert tuned.selection.digest == read_json(folder / "tuned.json")["digest"]
    judgement = Judgement.model_validate_json((folder / "gate.json").read_bytes())
    assert judgement.baseline.startswith(f"{MODELS[0]} 1.0.0 ")
    checks = {check.name: check.state for check in judgement.checks}
    assert {"knowledge.acc by tuning", "retention.acc by tuning"} <= checks.keys()
    assert checks["knowledge.acc by tuning"] != "fail", "one epoch is enough to lose nothing"
    told = read_json(run / "summary.json")["gate"]
    assert told["state"] == judgement.state
    assert (run / told["report"]).is_file()
    assert Decision.read(artifacts(run, "ai-engineer", MODELS[1])).sentence


def test_every_declared_output_notebook_page_and_log_is_there(finished):
    run, _, _ = finished
    for pipeline in ("model-ops", "ai-engineer"):
        for model in MODELS:
            folder = run / f"{pipeline}-{model}"
            for node in Pipeline(pipeline).wanted({}).primary["nodes"]:
                parameters = node["app_data"]["component_parameters"]
                own = {item["env_var"]: item["value"] for item in parameters["env_vars"]}
                stage = node_outputs.executed(Path(parameters["filename"]).stem, own)
                for output in parameters["outputs"]:
                    found = list((folder / "notebooks").glob(output))
                    assert found, output
                    assert all(file.stat().st_size for file in found), output
                assert (folder / "notebooks" / f"{stage}.html").stat().st_size > 10_000
                assert (folder / "logs" / f"{stage}.log").is_file()
                executed = json.loads((folder / "notebooks" / f"{stage}.ipynb").read_text())
                assert executed["metadata"]["papermill"]["exception"] is None


def test_the_notebooks_figures_are_in_the_pages(finished):
    run, _, _ = finished
    notebooks = run / f"ai-engineer-{MODELS[1]}" / "notebooks"
    for stage, figures in (("guidellm_sweep", 3), ("lm_eval_task", 1), ("compare_models", 3)):
        cells = json.loads((notebooks / f"{stage}.ipynb").read_text())["cells"]
        outputs = [output for cell in cells for output in cell.get("outputs", ())]
        assert sum("image/png" in output.get("data", {}) for output in outputs) >= figures, stage
        assert not [output for output in outputs if output["output_type"] == "error"]


@pytest.mark.usefixtures("at_home")
def test_the_registry_shows_baseline_use_case_and_approval(finished):
    run, _, _ = finished
    record = Record.read(artifacts(run, "model-ops", MODELS[1]))
    registry = connect(record.selection.registry)
    versions = {version.name: version.properties for version in registry.versions()}
    assert set(versions) == set(MODELS)
    for properties in versions.values():
        assert properties["approval"] == "approved"
        assert properties["baseline.knowledge.acc"] > 0.25
        assert properties["usecase.ops-assistant.chat.ttft_p95_ms"] > 0
    assert record.approval.state == "approved"
    assert len(registry.records()) == 4


def test_the_second_pipeline_asks_no_question_again_and_measures_its_own_prompts(finished):
    run, _, _ = finished
    for model in MODELS[:1]:
        first, second = (Record.read(artifacts(run, pipeline, model)) for pipeline in ("model-ops", "ai-engineer"))
        taken = {"taken_from": first.record_id, "run": second.run}
        assert second.evaluation == first.evaluation.model_copy(update=taken)
        for name in first.evaluation.files:
            folders = [artifacts(run, pipeline, model) for pipeline in ("model-ops", "ai-engineer")]
            assert folders[0].joinpath(name).read_bytes() == folders[1].joinpath(name).read_bytes()
        assert second.sweep.identity != first.sweep.identity
        assert not second.sweep.taken_from
        said = (run / f"ai-engineer-{model}" / "logs" / "lm_eval_task.log").read_text()
        assert f"record {first.record_id}, {model} 1.0.0) and is taken over; FRESH=true measures it again." in said


def test_the_regression_pipeline_measures_nothing_anew_and_stops_where_the_model_may_be_worse(finished):
    run, _, home = finished
    given = [f"MODEL_NAME={MODELS[0]}", f"BASELINE_NAME={MODELS[1]}", "SWEEP_SIZE=3", *BRIEF]  # as make run
    folder = run.parent / "regression"
    command = [sys.executable, "-m", "helpers.local.run_pipeline", "regression", "--runs", folder, *given]
    done = subprocess.run(command, cwd=ROOT, env=environment(home), capture_output=True, text=True, timeout=900)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "failed in regression_gate: " in done.stderr
    (folder,) = (path for path in folder.iterdir() if not path.is_symlink())
    earlier = Record.read(artifacts(run, "ai-engineer", MODELS[0]))
    record = Record.read(folder / "notebooks" / "artifacts")
    assert record.record_id == earlier.record_id
    assert not processes_of(home, "vllm")


@pytest.mark.usefixtures("at_home")
def test_logging_the_same_results_again_changes_nothing(finished, tmp_path):
    run, _, _ = finished
    folder = artifacts(run, "ai-engineer", MODELS[0])
    record = Record.read(folder)
    registry = connect(record.selection.registry)
    before = [registry.records(), registry.versions()]
    store = record.raw[record.sweep.report].split("/records/")[0]
    parameters = {"registry": record.selection.registry, "store": store}
    execute_notebook(
        ROOT / "notebooks" / "log_results.ipynb", tmp_path / "again.ipynb", parameters=parameters, cwd=folder.parent
    )
    assert [registry.records(), registry.versions()] == before
    assert Record.read(folder).record_id == record.record_id


def test_ctrl_c_ends_the_run_and_everything_it_started(tmp_path):
    home = new_home(tmp_path)
    command = [sys.executable, "-m", "helpers.local.run", "--runs", tmp_path / "runs", "--name", "cut"]
    run = subprocess.Popen(
        command, cwd=ROOT, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for(lambda: processes_of(home, "api_server"), what="the start of vLLM", do="read the log", timeout=900)
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=120)
    finally:
        run.kill()
        down = [sys.executable, "-m", "helpers.local.stack", "down"]
        subprocess.run(down, cwd=ROOT, env=environment(home), check=True, capture_output=True, timeout=60)
    assert run.returncode == 130, errors
    assert "interrupted in deploy_model; kept in " in errors
    assert not processes_of(home)
    assert (artifacts(tmp_path / "runs" / "cut", "model-ops", MODELS[0]) / "selection.json").is_file()
