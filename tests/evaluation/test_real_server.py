"""SmolLM2 behind real vLLM: each tier that a stage of ours asks, a few rows, as papermill runs the notebook."""

from __future__ import annotations

import pytest

from helpers import serving
from helpers.artifacts import Evaluation
from helpers.ingestion.samples import SAMPLES, ensure_samples
from helpers.runtime import processes
from helpers.runtime.workspace import ROOT
from tests.plugins.kernels import execute
from tests.plugins.models import select, serve_settings

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
SMOLLM2 = "smollm2-135m-instruct"
TOOLS = "--enforce-eager --enable-auto-tool-choice --tool-call-parser hermes --chat-template hermes"
OPS = ROOT / "datasets" / "ops-assistant"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    (folder / "datasets").symlink_to(ROOT / "datasets")
    model = ensure_samples(ROOT / ".assay" / "samples", [SAMPLES[SMOLLM2]])[SMOLLM2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_HOME", str(folder / "home"))
        patch.chdir(folder)
        serving.deploy(select(model, name=SMOLLM2), serve_settings(engine_args=TOOLS)).write(folder / "artifacts")
        yield folder
        for running in processes.all_running():
            processes.end(running)


def measured(folder, notebook, name, **given):
    given |= {"name": name, "allow_partial": True, "registry": "http://127.0.0.1:9"}
    execute(ROOT / "notebooks" / f"{notebook}.ipynb", folder / f"{name}.ipynb", parameters=given, cwd=folder)
    return Evaluation.read_named(name, folder / "artifacts")


def test_a_small_model_writes_valid_json_only_where_it_is_held_to_the_schema(served):
    found = measured(served, "structured_output", "formatting", data=str(OPS / "formats.jsonl"), limit="4")
    assert (found.score, found.n) == (1.0, 4)
    assert found.detail["constrained"] == {"valid": 4}
    assert "valid" not in found.detail["unaided"]


def test_calls_of_a_small_model_are_told_from_what_is_cut_off(served):
    rows = {"data": str(OPS / "tools.jsonl"), "limit": "8", "max_tokens": "256"}
    found = measured(served, "tool_calling", "tools", system_instruction="Be brief.", **rows)
    [strict] = [metric for metric in found.others if metric.name == "strict_right"]
    assert found.n + found.truncated == found.total
    assert strict.n >= 1, "who must call with strict arguments calls"
    assert found.api == "chat"


def test_instructions_are_held_against_its_answers(served):
    rows = {"task": "ops_instructions", "include_path": str(OPS), "limit": "4", "gen_kwargs": "max_gen_toks=128"}
    found = measured(served, "lm_eval_task", "instructions", **rows)
    assert (found.metric, found.total) == ("prompt_strict", 4)
    assert found.n + found.truncated == 4
