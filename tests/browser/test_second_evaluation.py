"""A second lm_eval_task is dragged onto the canvas, named, and runs beside the first on this machine."""

from __future__ import annotations

import json

import pytest

from helpers.artifacts import Evaluation
from helpers.pipelines.outputs import outputs
from tests.plugins import canvas
from tests.plugins.browser import keep
from tests.plugins.hosted_api import hosting
from tests.serving.test_existing_pipeline import LETTERS, TASK

pytestmark = [pytest.mark.load, pytest.mark.timeout(900)]


@pytest.fixture
def drawn(lab, tmp_path):
    """A pipeline of lookup, deployment and one evaluation beside the notebooks, and its questions."""
    content = json.loads((lab.root / "pipelines" / "ai-engineer.pipeline").read_text())
    primary = content["pipelines"][0]
    nodes = {node["app_data"]["label"]: node for node in primary["nodes"]}
    nodes["lm_eval_task"]["inputs"][0]["links"][0]["node_id_ref"] = nodes["deploy_model"]["id"]
    primary["nodes"] = [nodes[name] for name in ("registry_lookup", "deploy_model", "lm_eval_task")]
    primary["app_data"]["ui_data"]["comments"] = []
    (lab.root / "notebooks" / "second.pipeline").write_text(json.dumps(content))
    (tmp_path / "letters.yaml").write_text(TASK)
    rows = [{"question": f"Which letter has number {n}?", "answer": letter} for n, letter in enumerate(LETTERS)]
    (tmp_path / "letters.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_it_is_refused_without_its_outputs_and_runs_under_its_name(lab, page, complaints, drawn):
    with hosting(key="") as api:
        given = {
            "TARGET": "existing", "ENDPOINT_URL": f"{api.url}/v1", "ENDPOINT_MODEL": api.model,
            "TASK": "hosted_letters", "INCLUDE_PATH": str(drawn),
        }  # fmt: skip
        canvas.open_canvas(page, lab.address("notebooks/second.pipeline"), 3)
        canvas.drag(page, "lm_eval_task.ipynb")
        page.locator(".d3-node-group").nth(3).wait_for()
        canvas.link(page, "lm_eval_task", "lm_eval_task.ipynb")
        form = canvas.properties(page, "lm_eval_task.ipynb")
        form.locator("select#root_component_parameters_runtime_image").select_option(label="Assay lm-eval")
        for name, value in {"NAME": "again", "TASK": "hosted_letters", "INCLUDE_PATH": str(drawn)}.items():
            row = form.locator(f"input[value={name}]")
            form.locator(f"input#{row.get_attribute('id').removesuffix('env_var')}value").fill(value)
        dialog = canvas.run(page, "This machine", **given)
        dialog.get_by_text("again.samples.jsonl").first.wait_for(timeout=60_000)
        complaints.clear()
        page.locator(".jp-Dialog-button.jp-mod-accept").click()
        form = canvas.properties(page, "lm_eval_task.ipynb")
        canvas.fill(form, "outputs", outputs("lm_eval_task", "again"))
        keep(page, "second-evaluation")
        dialog = canvas.run(page, "This machine", **given)
        dialog.get_by_text("succeeded").or_(dialog.get_by_text("Error")).wait_for(timeout=400_000)
        assert "succeeded" in dialog.inner_text()
    (folder,) = [path for path in (lab.root / "runs").iterdir() if not path.is_symlink()]
    notebooks = folder / "notebooks"
    found = [Evaluation.read_named(name, notebooks / "artifacts") for name in ("knowledge", "again")]
    assert [(each.n, each.correct) for each in found] == [(len(LETTERS), LETTERS.count("A"))] * 2
    assert (notebooks / "lm_eval_task.ipynb").is_file()
    assert (notebooks / "lm_eval_task.again.html").is_file()
