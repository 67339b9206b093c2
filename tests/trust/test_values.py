"""Values and names that would do harm in a pod are refused before anything starts, wherever they are typed."""

from __future__ import annotations

import pytest

from helpers.errors import InvalidInput, InvalidParameter
from helpers.pipelines import Pipeline, compiling
from helpers.pipelines.image_names import is_placeholder
from helpers.pipelines.outputs import Node
from helpers.pipelines.preflight import serving
from helpers.pipelines.values import check_stages, check_values, stage_variables
from helpers.runtime.workspace import ROOT

ENGINEER = Pipeline("ai-engineer")
BREAKING = [
    '"; id; "',
    "$(id)",
    "`id`",
    "a\nid",
    "a\\",
    "'",
    "a;id",
    "a|id",
    "a>b",
    "a<b",
    "a{b}",
    "a!b",
    "a#b",
    "a*b",
    "\x00",
]


def stages():
    """The nodes as Elyra's Run dialog hands them over, with their own variables alone."""
    for node in ENGINEER.nodes:
        own = {item["env_var"]: item["value"] for item in node["env_vars"]}
        yield Node((ENGINEER.file.parent / node["filename"]).resolve(), own, node["outputs"])


@pytest.mark.parametrize("value", BREAKING)
def test_a_value_that_breaks_the_pods_shell_is_refused_everywhere(value):
    given = {"MODEL_NAME": value}
    with pytest.raises(InvalidParameter, match="MODEL_NAME"):
        check_values(ENGINEER, given, stage_variables(ENGINEER))  # make run, make pipeline, make check
    with pytest.raises(InvalidParameter, match="MODEL_NAME"):
        compiling.check(ENGINEER, given, "quay.io/mine", starts=True)  # make submit
    with pytest.raises(InvalidParameter, match="MODEL_NAME"):
        check_stages(list(stages()), given)  # Run on the canvas, on this machine


def test_a_node_refuses_it_in_its_first_cell():
    from helpers.load_test import Settings

    for value in BREAKING:
        with pytest.raises(InvalidParameter, match="prompts"):
            Settings(prompts=value)


def test_images_that_nobody_built_are_refused_before_anything_is_submitted():
    with pytest.raises(InvalidInput, match="placeholder"):
        compiling.check(ENGINEER, {}, "", starts=True)
    compiling.check(ENGINEER, {}, "quay.io/mine", starts=True)
    said = list(serving.images(None))
    assert len(said) == 1
    assert said[0].state == "fix"
    assert "make images" in said[0].do


@pytest.mark.parametrize(
    ("image", "nowhere"),
    [
        ("registry.invalid/assay/stage:0.1.0", True),
        ("registry.invalid:5000/assay/stage:0.1.0", True),
        ("invalid/assay/stage:1", True),
        ("registry.invalid.example.com/assay/stage:1", False),
        ("quay.io/registry.invalid/stage:1", False),
    ],
)
def test_which_names_resolve_nowhere(image, nowhere):
    assert is_placeholder(image) is nowhere


def test_the_shipped_names_resolve_nowhere():
    for path in sorted((ROOT / "pipelines").glob("*.pipeline")):
        assert all(is_placeholder(node["runtime_image"]) for node in Pipeline(path.stem).nodes)
