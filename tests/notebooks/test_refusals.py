"""What a person sees when a stage cannot do its job: one error that says what to do, and no half-written file."""

from __future__ import annotations

import json
import os
import re
import shutil

import nbformat
import pytest
from papermill.exceptions import PapermillExecutionError

from helpers import storage
from helpers.artifacts import Endpoint, Hardware, Selection, now
from helpers.registry import connect
from helpers.runtime.workspace import ROOT
from tests.plugins.kernels import execute as execute_notebook
from tests.plugins.models import POLICY, PRICES, select


@pytest.fixture
def folder(tmp_path, tiny_model):
    """A workspace in which a model is deployed on a server that nobody hears."""
    (tmp_path / "datasets").mkdir()
    shutil.copytree(ROOT / "datasets" / "ops-assistant", tmp_path / "datasets" / "ops-assistant")
    for file in (POLICY, PRICES):
        (tmp_path / file.name).symlink_to(file)
    select(tiny_model).write(tmp_path / "artifacts")
    Endpoint(
        target="existing", url="http://127.0.0.1:9", model="tiny", tokenizer=str(tiny_model), max_model_len=2048,
        engine_version="0", hardware=Hardware(type="CPU", count=1), digest=select(tiny_model).digest,
        digest_verified=False, started=now(),
    ).write(tmp_path / "artifacts")  # fmt: skip
    return tmp_path


def refused(stage, folder, **parameters):
    """Execute the notebook and return the error's name and text; nothing but the inputs may be in `artifacts`."""
    before = {path.name for path in (folder / "artifacts").iterdir()}
    with pytest.raises(PapermillExecutionError) as caught:
        execute_notebook(
            ROOT / "notebooks" / f"{stage}.ipynb", folder / f"{stage}.ipynb", parameters=parameters, cwd=folder
        )
    left = {path.name for path in (folder / "artifacts").iterdir()} - before
    assert not [name for name in left if not name.endswith((".log", ".jsonl")) and name != "inspection.json"]
    return caught.value.ename, caught.value.evalue


@pytest.fixture
def served(folder, hosted):
    """The same workspace on a server that answers."""
    Endpoint.read(folder / "artifacts").model_copy(update={"url": hosted.url}).write(folder / "artifacts")
    return folder


def findings_shown(notebook):
    """Return the tables of findings that a person sees."""
    outputs = [output for cell in nbformat.read(notebook, as_version=4).cells for output in cell.get("outputs", ())]
    tables = [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    return [table for table in tables if "severity" in table]


def change_one_byte(path):
    """Change the last byte of a published file, as somebody with write access to the store could."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))


def test_an_unknown_model_is_answered_with_the_closest_names(folder, registry_server, tiny_model):
    execute_notebook(
        ROOT / "notebooks" / "ingest_model.ipynb", folder / "in.ipynb", cwd=folder,
        parameters={"source": str(tiny_model), "model_name": "granite-small", "model_store": folder.as_uri()},
    )  # fmt: skip
    name, text = refused("registry_lookup", folder, model_name="granite-smal")
    assert name == "ModelNotFound"
    assert "granite-small" in text


def test_an_empty_registry_says_which_command_fills_it(folder, registry_server):
    name, text = refused("registry_lookup", folder)
    assert name == "ModelNotFound"
    assert "make run" in text


def test_an_unreachable_registry_is_named_with_its_address(folder):
    name, text = refused("registry_lookup", folder, registry="http://127.0.0.1:9")
    assert name == "RegistryUnreachable"
    assert "http://127.0.0.1:9" in text


def test_a_folder_with_a_pickle_stays_outside(folder, registry_server, tiny_model):
    shutil.copytree(tiny_model, folder / "odd")
    (folder / "odd" / "weights.pkl").write_bytes(b"\x80\x04")
    name, text = refused("ingest_model", folder, source="odd", model_store=folder.as_uri())
    assert name == "RefusedModel"
    assert "weights.pkl" in text
    [output] = findings_shown(folder / "ingest_model.ipynb")
    assert "weights.pkl" in output
    assert "critical" in output


def test_a_version_that_is_rejected_after_it_was_selected_is_not_deployed(folder, registry_server):
    registry = connect("local")
    selection = Selection.read(folder / "artifacts")
    found = registry.register_candidate("tiny", "1", uri=selection.uri, digest=selection.digest, size_bytes=1)
    registry.set_approval(found.model_version_id, "rejected", ["a flaw was found"], by="Ada")
    (folder / "artifacts" / "endpoint.json").unlink()
    name, text = refused("deploy_model", folder)
    assert name == "NotApproved"
    assert "a flaw was found" in text


def test_one_changed_byte_of_approved_weights_is_not_deployed(folder, registry_server):
    registry = connect("local")
    selection = Selection.read(folder / "artifacts")
    found = registry.register_candidate("tiny", "1", uri=selection.uri, digest=selection.digest, size_bytes=1)
    registry.set_approval(found.model_version_id, "approved", ["good"])
    change_one_byte(storage.local_path(selection.uri) / "model.safetensors")
    (folder / "artifacts" / "endpoint.json").unlink()
    name, text = refused("deploy_model", folder)
    assert name == "DigestMismatch"
    assert "model.safetensors" in text


def test_a_policy_with_a_mistake_is_named_with_file_line_and_field(folder, registry_server, tiny_model):
    (folder / "policy.yaml").unlink()
    (folder / "policy.yaml").write_text(POLICY.read_text().replace("file_gib: 50", "file_gib: none"))
    name, text = refused("ingest_model", folder, source=str(tiny_model))
    assert name == "InvalidPolicy"
    assert re.search(r"policy\.yaml:\d+: limits\.file_gib", text)


def test_an_unknown_task_is_answered_with_the_closest_names(folder):
    name, text = refused("lm_eval_task", folder, task="ops_asistant")
    assert name == "UnknownTask"
    assert "ops_assistant" in text


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ('{"id": "x", "category": "a", "question": "q?", "choices": ["1", "2", "3", "4"], "answer": 4}', "answer"),
        ('{"id": "x", "category": "a", "question": "q?", "choices": ["1", "2", "3"], "answer": 0}', "choices"),
        ("{", "JSON"),
    ],
)
def test_a_bad_question_is_named_with_file_line_and_field(folder, line, field):
    path = folder / "datasets" / "ops-assistant" / "ops_assistant.jsonl"
    path.write_text("\n".join([*path.read_text().splitlines()[:2], line]) + "\n")
    name, text = refused("lm_eval_task", folder)
    assert name == "InvalidDataset"
    assert "ops_assistant.jsonl, line 3" in text
    assert field in text


def test_an_empty_or_missing_prompt_file_is_named(served):
    path = served / "datasets" / "ops-assistant" / "prompts.jsonl"
    path.write_text("")
    assert refused("guidellm_sweep", served, workload="prompts", api="completions")[0] == "InvalidDataset"
    path.unlink()
    name, text = refused("guidellm_sweep", served, workload="prompts", api="completions")
    assert name == "InvalidDataset"
    assert "prompts.jsonl" in text


def test_a_prompt_longer_than_the_context_is_named(served):
    row = {"id": "long", "category": "a", "prompt": "restart the pod " * 2000, "output_tokens": 8}
    (served / "datasets" / "ops-assistant" / "prompts.jsonl").write_text(json.dumps(row) + "\n")
    name, text = refused("guidellm_sweep", served, workload="prompts", api="completions")
    assert name == "InvalidDataset"
    assert "line 1" in text
    assert "context of 2048" in text


def test_a_workload_larger_than_the_context_is_refused(served):
    name, text = refused("guidellm_sweep", served, workload="long_rag", scale="1.0", api="completions")
    assert name == "InvalidParameter"
    assert "SCALE" in text


@pytest.mark.parametrize("stage", ["guidellm_sweep", "lm_eval_task"])
def test_an_endpoint_that_does_not_answer_is_named(folder, stage):
    name, text = refused(stage, folder)
    assert name == "EndpointUnreachable"
    assert "http://127.0.0.1:9" in text


def test_a_missing_tokenizer_is_named(served):
    endpoint = Endpoint.read(served / "artifacts").model_copy(update={"tokenizer": str(served / "nowhere")})
    endpoint.write(served / "artifacts")
    _, text = refused("guidellm_sweep", served, api="completions")
    assert "tokenizer" in text
    assert "nowhere" in text


def test_a_stage_without_its_input_names_the_stage_before(folder):
    (folder / "artifacts" / "endpoint.json").unlink()
    name, text = refused("lm_eval_task", folder)
    assert name == "ArtifactMissing"
    assert "Run deploy_model first" in text


def test_no_record_to_compare_says_what_to_run(folder, registry_server):
    name, text = refused("compare_models", folder)
    assert name == "NotFound"
    assert "ai-engineer" in text
