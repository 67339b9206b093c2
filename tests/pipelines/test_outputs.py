"""A measuring node declares what it writes, and no two nodes write the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.datasets.making import make_use_case
from helpers.pipelines import Pipeline, names
from helpers.pipelines.outputs import DEFAULT, EVALUATORS, Node, faults, outputs
from tests.plugins.second import with_second

STAGES = sorted(DEFAULT)


def node(stage: str, name: str = "", declared: list[str] | None = None) -> Node:
    environment = {"NAME": name} if name else {}
    return Node(
        Path(f"{stage}.ipynb"), environment, outputs(stage, name or DEFAULT[stage]) if declared is None else declared
    )


@pytest.mark.parametrize("pipeline", names())
def test_the_shipped_pipelines_declare_what_their_nodes_write(pipeline):
    nodes = [
        Node(Path(each["filename"]), {item["env_var"]: item["value"] for item in each["env_vars"]}, each["outputs"])
        for each in Pipeline(pipeline).nodes
    ]
    assert list(faults(nodes)) == []


@pytest.mark.parametrize("stage", STAGES)
def test_two_nodes_of_one_notebook_stand_side_by_side_under_two_names(stage):
    assert list(faults([node(stage), node(stage, "second")])) == []
    (told,) = faults([node(stage), node(stage, DEFAULT[stage])])
    assert DEFAULT[stage] in told


@pytest.mark.parametrize("stage", STAGES)
def test_a_name_whose_file_another_node_writes_is_refused(stage):
    other = Node(Path("deploy_model.ipynb"), {}, ["artifacts/endpoint.json"])
    for nodes in ([other, node(stage, "endpoint")], [node(stage, "endpoint"), other]):
        (told,) = faults(nodes)
        assert "artifacts/endpoint.json" in told
    assert list(faults([other, node(stage)])) == []
    assert len(list(faults([node(each, "same") for each in STAGES]))) == len(STAGES) - 1


@pytest.mark.parametrize("stage", STAGES)
def test_a_name_that_is_left_empty_on_the_canvas_is_the_notebooks_own(stage):
    empty = Node(Path(f"{stage}.ipynb"), {"NAME": ""}, [])
    (told,) = faults([empty])
    assert all(file in told for file in outputs(stage, DEFAULT[stage]))


@pytest.mark.parametrize("stage", STAGES)
def test_outputs_of_another_name_are_refused_with_those_that_are_missing(stage):
    (told,) = faults([node(stage, "second", outputs(stage, "first"))])
    assert all(file in told for file in outputs(stage, "second"))


def test_other_notebooks_declare_what_they_like():
    assert list(faults([Node(Path("log_results.ipynb"), {"NAME": "x"}, []), Node(Path("own.ipynb"), {}, [])])) == []


def test_nodes_that_the_use_case_gives_nothing_to_measure_are_left_out_and_the_others_stay_linked():
    whole = Pipeline("ai-engineer")
    found = whole.wanted({})
    assert set(whole.stages) - set(found.stages) == set(EVALUATORS)
    ids = [node["id"] for node in found.primary["nodes"]]
    linked = [link["node_id_ref"] for node in found.primary["nodes"][1:] for link in node["inputs"][0]["links"]]
    assert linked == ids[:-1]
    assert whole.stages == Pipeline("ai-engineer").stages


def test_a_node_stays_where_the_use_case_names_its_evaluation_or_has_to_be_fetched(tmp_path):
    folder = make_use_case("mine", tmp_path)
    file = folder / "use-case.yaml"
    file.write_text(file.read_text().replace("  # formatting:", "  formatting:"))
    stages = Pipeline("ai-engineer").wanted({"USE_CASE": str(folder)}).stages
    assert [stage for stage in stages if stage in EVALUATORS] == ["structured_output"]
    assert Pipeline("ai-engineer").wanted({"USE_CASE": "s3://bucket/mine"}).stages == Pipeline("ai-engineer").stages


def test_a_node_that_says_its_task_itself_is_wanted_whatever_the_use_case_names():
    drawn = with_second(Pipeline("ai-engineer"), lm_eval_task={"NAME": "examples", "TASK": "arc_easy"})
    labels = [node["app_data"]["label"] for node in drawn.wanted({}).primary["nodes"]]
    assert "lm_eval_task-examples" in labels
    without = with_second(Pipeline("ai-engineer"), lm_eval_task={"NAME": "unknown"}).wanted({})
    assert "lm_eval_task-unknown" not in [node["app_data"]["label"] for node in without.primary["nodes"]]
