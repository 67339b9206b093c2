"""What the shipped pipelines promise: references that hold, on Elyra's own terms."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import papermill
import pytest

from helpers.pipelines import Pipeline
from helpers.pipelines.outputs import DEFAULT
from helpers.runtime.workspace import ROOT
from tests.conftest import notebook_files, pipeline_files

every_pipeline = pytest.mark.parametrize("path", pipeline_files(), ids=lambda path: path.stem)
MEASURING = " ".join(DEFAULT)
USE_CASE = MEASURING.replace("lm_eval_task", "lm_eval_task lm_eval_task")  # knowledge, and retention
ORDER = {
    "model-ops": f"ingest_model deploy_model {MEASURING} log_results remove_deployment",
    "ai-engineer": f"registry_lookup deploy_model {USE_CASE} log_results remove_deployment compare_models",
    "regression": f"registry_lookup deploy_model {USE_CASE} log_results remove_deployment regression_gate",
    "remove-expired": "remove_deployment",
    "fine-tune": f"registry_lookup explore_dataset finetune_model ingest_model deploy_model {USE_CASE} log_results "
    "remove_deployment regression_gate",
    "watch": "watch_endpoint",
}
# What the cluster must hold for a node to start: secret and key, as the platform's data connection names them.
STORE = {
    "STORE_AWS_ACCESS_KEY_ID": ("assay-store", "AWS_ACCESS_KEY_ID"),
    "STORE_AWS_SECRET_ACCESS_KEY": ("assay-store", "AWS_SECRET_ACCESS_KEY"),
    "STORE_AWS_ENDPOINT": ("assay-store", "AWS_S3_ENDPOINT"),
    "STORE_AWS_REGION": ("assay-store", "AWS_DEFAULT_REGION"),
    "STORE_AWS_BUCKET": ("assay-store", "AWS_S3_BUCKET"),
}
PUBLIC_KEY = {"SIGNING_PUBLIC_KEY": ("assay-signing", "SIGNING_PUBLIC_KEY")}
MEASURERS = {"MEASURING_PUBLIC_KEY": ("assay-measuring", "MEASURING_PUBLIC_KEY")}  # whose results are taken over
SECRETS = {
    "ingest_model": STORE | PUBLIC_KEY | MEASURERS | {"SIGNING_KEY": ("assay-signing", "SIGNING_KEY")},
    "registry_lookup": STORE | PUBLIC_KEY,  # data that are named as s3://…, and whose approval counts
    "deploy_model": STORE | PUBLIC_KEY,
    # A server that is gone is verified and served again.
    **dict.fromkeys(DEFAULT, STORE | PUBLIC_KEY | MEASURERS),
    "log_results": STORE | PUBLIC_KEY | MEASURERS | {"MEASURING_KEY": ("assay-measuring", "MEASURING_KEY")},
    "compare_models": STORE | MEASURERS,
    "finetune_model": STORE | PUBLIC_KEY | MEASURERS | {"MEASURING_KEY": ("assay-measuring", "MEASURING_KEY")},
    "watch_endpoint": STORE | PUBLIC_KEY | MEASURERS,
    "explore_dataset": STORE | MEASURERS,  # data that are named as s3://…, and the answers of measured versions
    "regression_gate": STORE | PUBLIC_KEY | MEASURERS,
}
SIGNS = {("model-ops", "log_results"): {"SIGNING_KEY": ("assay-signing", "SIGNING_KEY")}}  # the approval


EVALUATES = ("registry_lookup", "lm_eval_task")  # the first packs the files for the second


def primary(path):
    return json.loads(path.read_text())["pipelines"][0]


def nodes(path):
    return [(node, node["app_data"]["component_parameters"]) for node in primary(path)["nodes"]]


def names(items, key):
    return {item[key] for item in items}


@every_pipeline
def test_the_stages_follow_each_other_as_designed(path):
    assert Pipeline(path.stem).stages == ORDER[path.stem].split()
    previous = None
    for node, _ in nodes(path):
        links = [link["node_id_ref"] for port in node["inputs"] for link in port.get("links", [])]
        assert links == ([previous] if previous else [])
        previous = node["id"]


@every_pipeline
def test_elyra_finds_no_error_and_no_warning(path):
    elyra = Path(sys.executable).with_name("elyra-pipeline")
    command = [elyra, "validate", f"pipelines/{path.name}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    assert "Pipeline validation SUCCEEDED" in done.stdout
    assert "[Warning]" not in done.stdout


@every_pipeline
def test_parameters_reach_a_notebook_that_has_them(path):
    declared = set(Pipeline(path.stem).parameters)
    used = set()
    for _, node in nodes(path):
        known = {name.upper() for name in papermill.inspect_notebook(str(path.parent / node["filename"]))}
        variables, parameters = names(node["env_vars"], "env_var"), set(node["pipeline_parameters"])
        assert variables <= known
        assert parameters <= known & declared
        assert not variables & declared, "a node's variable silently wins over the pipeline parameter of that name"
        used |= parameters
    assert used == declared


@pytest.mark.parametrize("name", ["model-ops", "ai-engineer", "regression"])
def test_what_is_known_is_measured_again_where_fresh_says_so(name):
    pipeline = Pipeline(name)
    measuring = [node for node in pipeline.nodes if Path(node["filename"]).stem in DEFAULT]
    assert all({"REGISTRY", "FRESH"} <= set(node["pipeline_parameters"]) for node in measuring)
    assert (pipeline.parameters["FRESH"], pipeline.types["FRESH"]) == ("false", "Bool")
    for given, value in (("true", True), ("1", True), ("False", False)):
        (fresh,) = (
            item["default_value"]["value"]
            for item in pipeline.for_elyra({"FRESH": given}, "")["pipelines"][0]["app_data"]["properties"][
                "pipeline_parameters"
            ]
            if item["name"] == "FRESH"
        )
        assert fresh is value


@every_pipeline
def test_every_parameter_has_a_value_from_the_start(path):
    # Elyra compiles an empty default to none at all, and then the pod's shell gets the placeholder for a value.
    assert all(Pipeline(path.stem).parameters.values())


@every_pipeline
def test_files_and_images_exist(path):
    images = {
        json.loads(file.read_text())["metadata"]["image_name"]
        for file in (ROOT / "runtime-images").glob("*/runtime-image.json")
    }
    for _, node in nodes(path):
        notebook = path.parent / node["filename"]
        assert notebook.is_file()
        assert all(any(notebook.parent.glob(file)) for file in node["dependencies"])
        assert node["runtime_image"] in images
        assert node["outputs"]
        assert node["disable_node_caching"] == "True"


def test_an_evaluation_finds_the_same_files_in_every_pipeline():
    # A task's code may read whatever lies beside it, so all of that decides whether an earlier result is taken over.
    def own(path):
        given = [node["dependencies"] for _, node in nodes(path) if Path(node["filename"]).stem in EVALUATES]
        named = {file for files in given for file in files if file.startswith("datasets/")}
        return named - {"datasets/baseline/*"}  # which has no data of its own: its task lies in another folder

    found = [files for path in pipeline_files() if (files := own(path))]
    assert len(found) == 4
    assert all(files == found[0] for files in found)


@every_pipeline
def test_outputs_are_single_files_with_names_of_their_own(path):
    # A node fetches every output of all nodes before it by its exact name: a wildcard would be fetched literally.
    outputs = [output for _, node in nodes(path) for output in node["outputs"]]
    if path.stem == "fine-tune":  # the tuned version takes the place of its parent
        outputs.remove("artifacts/selection.json")
    assert all(re.fullmatch(r"artifacts/\w+(\.\w+)+", output) for output in outputs)
    assert len(outputs) == len(set(outputs))


@every_pipeline
def test_nodes_get_the_secrets_they_need_and_no_other(path):
    for node, parameters in nodes(path):
        given = {item["env_var"]: (item["name"], item["key"]) for item in parameters["kubernetes_secrets"]}
        stage = Path(node["app_data"]["component_parameters"]["filename"]).stem
        assert given == SECRETS.get(stage, {}) | SIGNS.get((path.stem, stage), {})
        # Elyra's own keys, from the runtime's secret, have these names.
        assert not given.keys() & {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


@every_pipeline
def test_nodes_ask_for_what_they_need_and_are_stopped_at_twice_that(path):
    for _, node in nodes(path):
        trains = Path(node["filename"]).stem == "finetune_model"
        assert 1 <= node["cpu"] <= node["cpu_limit"] <= (8 if trains else 4)
        assert 1 <= node["memory"] <= node["memory_limit"] <= (64 if trains else 8)
        assert (node["cpu_limit"], node["memory_limit"]) == (2 * node["cpu"], 2 * node["memory"])


@every_pipeline
def test_the_main_output_is_named_in_the_notebooks_first_cell(path):
    # That all outputs are really written is what the end-to-end run shows.
    for _, node in nodes(path):
        first = json.loads((path.parent / node["filename"]).read_text())["cells"][0]
        named = {item["env_var"]: item["value"] for item in node["env_vars"]}.get("NAME", "")
        main = node["outputs"][0].replace(f"/{named}.", "/NAME.") if named else node["outputs"][0]
        assert f"`{main}`" in "".join(first["source"])


@every_pipeline
def test_the_canvas_reads_from_left_to_right_with_words_for_a_newcomer(path):
    drawn = [node["app_data"]["ui_data"] for node, _ in nodes(path)]
    assert [ui["x_pos"] for ui in drawn] == sorted({ui["x_pos"] for ui in drawn})
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9_.]*[a-z0-9])?", ui["label"]) for ui in drawn)
    comments = primary(path)["app_data"]["ui_data"]["comments"]
    assert len(comments) >= min(4, len(drawn))
    assert all(comment["content"].endswith(".") for comment in comments)
    assert primary(path)["app_data"]["properties"]["description"]


def test_every_notebook_is_in_a_pipeline_and_in_the_readme():
    used = {stage for path in pipeline_files() for stage in Pipeline(path.stem).stages}
    assert {path.stem for path in notebook_files()} == used
    readme = (ROOT / "README.md").read_text()
    rows = set(re.findall(r"^\| \[(\w+)\]\(notebooks/\1\.ipynb\)", readme, re.MULTILINE))
    assert rows == used


@every_pipeline
def test_no_secret_stands_in_a_pipeline(path):
    assert not re.search(r"(?i)(password|secret_access_key|api_key)\W+value", path.read_text())
