"""The shipped pipelines on the Elyra canvas, as a user sees them."""

import json
import re

import pytest

from tests.conftest import pipeline_files
from tests.plugins import canvas
from tests.plugins.browser import keep

pytestmark = pytest.mark.load


def primary(path):
    return json.loads(path.read_text())["pipelines"][0]


def labels(nodes):
    return [node["app_data"]["ui_data"]["label"] for node in sorted(nodes, key=lambda node: left(node["app_data"]))]


def left(item):
    return item["ui_data"]["x_pos"]


def links(nodes):
    names = {node["id"]: node["app_data"]["ui_data"]["label"] for node in nodes}
    order = sorted(nodes, key=lambda node: left(node["app_data"]))
    given = [(link, node) for node in order for link in node["inputs"][0].get("links", ())]
    return [(names[link["node_id_ref"]], names[node["id"]]) for link, node in given]


def variables(notebook):
    """The environment variables of the parameters cell, in their order."""
    cells = json.loads(notebook.read_text())["cells"]
    cell = next(cell for cell in cells if "parameters" in cell["metadata"].get("tags", ()))
    return re.findall(r'os\.getenv\("(\w+)"', "".join(cell["source"]))


@pytest.mark.parametrize("file", pipeline_files(), ids=lambda path: path.stem)
def test_a_pipeline_opens_whole_and_without_a_badge(lab, page, file):
    shipped = primary(file)
    canvas.open_canvas(page, lab.address(f"pipelines/{file.name}"), len(shipped["nodes"]))
    assert canvas.labels(page) == labels(shipped["nodes"])
    assert canvas.links(page) == links(shipped["nodes"])
    written = sorted(shipped["app_data"]["ui_data"]["comments"], key=lambda comment: comment["x_pos"])
    assert canvas.comments(page) == [comment["content"] for comment in written]
    assert canvas.cut(page) == []
    assert canvas.badges(page).count() == 0
    keep(page, f"canvas-{file.stem}")


def test_a_node_that_is_wrong_wears_a_badge(lab, page):
    broken = json.loads((lab.root / "pipelines" / "model-ops.pipeline").read_text())
    broken["pipelines"][0]["nodes"][1]["app_data"]["component_parameters"]["runtime_image"] = ""
    (lab.root / "broken.pipeline").write_text(json.dumps(broken))
    canvas.open_canvas(page, lab.address("broken.pipeline"), 6)
    canvas.badges(page).first.wait_for()
    assert canvas.badges(page).count() == 1


def test_the_properties_of_a_node_say_where_it_runs_and_with_what(lab, page):
    page.set_viewport_size({"width": 3200, "height": 1400})  # all nodes beside the panel
    shipped = primary(lab.root / "pipelines" / "ai-engineer.pipeline")
    canvas.open_canvas(page, lab.address("pipelines/ai-engineer.pipeline"), len(shipped["nodes"]))
    images = {"guidellm_sweep": "Assay GuideLLM", "lm_eval_task": "Assay lm-eval", "log_results": "Assay stage"}
    for label, image in images.items():
        node = next(one["app_data"] for one in shipped["nodes"] if one["app_data"]["label"] == label)
        known = node["component_parameters"]
        form = canvas.properties(page, label)
        form.locator(f"input[value='{known['filename']}']").wait_for()
        assert form.locator("select#root_component_parameters_runtime_image option:checked").inner_text() == image
        assert canvas.chosen(form, "pipeline_parameters") == known["pipeline_parameters"]
        assert canvas.rows(form, "env_vars", "env_var", "value") == [
            (item["env_var"], item["value"]) for item in known["env_vars"]
        ]
        assert canvas.rows(form, "kubernetes_secrets", "env_var", "name", "key") == [
            (item["env_var"], item["name"], item["key"]) for item in known["kubernetes_secrets"]
        ]
    keep(page, "node-properties")


def test_the_pipeline_parameters_are_shown_with_their_defaults(lab, page):
    shipped = primary(lab.root / "pipelines" / "ai-engineer.pipeline")
    canvas.open_canvas(page, lab.address("pipelines/ai-engineer.pipeline"), len(shipped["nodes"]))
    page.get_by_role("button", name="Open Panel").click()
    page.get_by_text("Pipeline Parameters", exact=True).click()
    page.locator("input[value=MODEL_NAME]").wait_for()
    known = shipped["app_data"]["properties"]["pipeline_parameters"]
    names = page.locator("input[id^=root_][id$=_name]").evaluate_all("all => all.map(one => one.value)")
    values = page.locator("input[id=root_value]").evaluate_all(
        "all => all.map(one => one.type != 'checkbox' ? one.value : one.checked ? 'True' : 'False')"
    )
    assert names == [item["name"] for item in known]
    assert values == [str(item["default_value"]["value"]) for item in known]
    keep(page, "pipeline-parameters")


def test_a_notebook_that_is_dragged_onto_the_canvas_becomes_a_node_with_its_variables(lab, page):
    """Elyra lists their names; one that is left empty has the notebook's default when it runs."""
    page.goto(lab.address("notebooks"))
    page.locator(".jp-LauncherCard").filter(has_text="Generic Pipeline Editor").click()
    page.locator(".common-canvas-drop-div").wait_for()
    page.get_by_role("button", name="Palette", exact=True).wait_for()
    canvas.drag(page, "deploy_model.ipynb")
    page.locator(".d3-node-group").wait_for()
    assert canvas.labels(page) == ["deploy_model.ipynb"]
    form = canvas.properties(page, "deploy_model")
    form.locator("input[value=RESOURCES]").wait_for()
    declared = variables(lab.root / "notebooks" / "deploy_model.ipynb")
    assert [name for (name,) in canvas.rows(form, "env_vars", "env_var")] == declared
    form.locator("input[value=RESOURCES]").scroll_into_view_if_needed()
    keep(page, "dragged-notebook")
