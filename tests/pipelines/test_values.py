"""A pipeline's values by the rules of its stages: what is refused before anything starts, on each of the commands."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from helpers.errors import InvalidParameter
from helpers.pipelines import Pipeline, names
from helpers.pipelines.values import assigned, check_values, stage_variables
from helpers.workspace import ROOT

ENGINEER = Pipeline("ai-engineer")


@pytest.mark.parametrize("name", names())
def test_what_is_shipped_is_accepted(name):
    check_values(Pipeline(name), {})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"FRESH": "yes"}, "FRESH is 'yes': give true or false"),
        ({"SLO_TTFT_MS": "nan"}, "SLO_TTFT_MS is 'nan'"),
        ({"SLO_TTFT_MS": "-1"}, "SLO_TTFT_MS is -1.0: Input should be greater than 0"),
        ({"MARGIN": "inf"}, "MARGIN is 'inf'"),
        ({"LIFETIME_SECONDS": "10.5"}, "LIFETIME_SECONDS is '10.5', which is no whole number"),
        ({"MAX_MODEL_LEN": "5"}, "MAX_MODEL_LEN is 5: Input should be greater than or equal to 16"),
        ({"RESOURCES": "cpu"}, "RESOURCES is 'cpu'"),
        ({"TASK": "a b"}, "TASK is 'a b'"),
        ({"ACCESS": "all"}, "ACCESS is 'all'"),
        ({"MIN_ACCURACY": "1.5"}, "MIN_ACCURACY is 1.5: Input should be less than or equal to 1"),
    ],
)
def test_a_value_that_a_stage_would_refuse_is_refused(given, said):
    with pytest.raises(InvalidParameter) as refused:
        check_values(ENGINEER, given)
    assert said in refused.value.what
    assert len(refused.value.what.split(";")) == 1


@pytest.mark.parametrize(
    "value", ["https://me:hunter2@registry.example", "https://hunter2@registry.example", "HTTP://me:hunter2@host/path"]
)
def test_an_address_with_a_password_is_refused_without_repeating_it(value):
    with pytest.raises(InvalidParameter, match="REGISTRY holds a user or a password") as refused:
        check_values(ENGINEER, {"REGISTRY": value})
    assert "hunter2" not in str(refused.value)


def test_an_at_sign_that_is_no_login_is_accepted():
    check_values(Pipeline("model-ops"), {"SOURCE": f"oci://host/models/tiny@sha256:{'0' * 64}"})
    check_values(Pipeline("model-ops"), {"SOURCE": "hf://gpt2@main"})


@pytest.mark.parametrize("value", ["true", "True", "1", "false", "FALSE", "0"])
def test_a_bool_is_what_the_notebooks_read(value):
    check_values(ENGINEER, {"FRESH": value})
    assert ENGINEER.typed({"FRESH": value})["FRESH"] is (value.lower() in ("true", "1"))


def test_all_faults_are_said_at_once():
    with pytest.raises(InvalidParameter) as refused:
        check_values(ENGINEER, {"FRESH": "yes", "SLO_TTFT_MS": "nan", "MODELNAME": "x", "MAX_MODEL_LEN": "5"})
    for name in ("FRESH", "SLO_TTFT_MS", "MODELNAME", "MAX_MODEL_LEN"):
        assert name in refused.value.what


def test_on_one_machine_what_a_stage_reads_is_a_parameter_too():
    further = stage_variables(ENGINEER)
    assert {"REPEATS", "ENDPOINT_URL"} <= further
    assert not further & {"MAX_SECONDS", *ENGINEER.parameters}, "a node that sets it itself would win"
    check_values(ENGINEER, {"REPEATS": "1"}, further)
    with pytest.raises(InvalidParameter, match="REPEATS is 99"):
        check_values(ENGINEER, {"REPEATS": "99"}, further)


def test_a_word_without_a_value_is_refused():
    with pytest.raises(InvalidParameter, match="MODEL_NAME gives no parameter a value"):
        assigned(["MODEL_NAME"])


def commands():
    module = [sys.executable, "-m"]
    return {
        "submit": [*module, "helpers.pipelines", "submit", "ai-engineer", "FRESH=yes", "MODELNAME=x", "--runtime", "r"],
        "compile": [*module, "helpers.pipelines", "compile", "ai-engineer", "FRESH=yes"],
        "pipeline": [*module, "helpers.local.run_pipeline", "ai-engineer", "FRESH=yes", "MODELNAME=x"],
        "run": [*module, "helpers.local.run", "FRESH=yes"],
    }


@pytest.mark.parametrize("name", ["submit", "compile", "pipeline", "run"])
def test_every_command_refuses_before_anything_starts(name, tmp_path):
    places = {"compile": ["--out", tmp_path], "pipeline": ["--runs", tmp_path], "run": ["--runs", tmp_path]}
    command = [*commands()[name], *map(str, places.get(name, ()))]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.strip().startswith("InvalidParameter")
    assert "FRESH" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("target", "module"),
    [
        ("run", "helpers.local.run"),
        ("pipeline", "helpers.local.run_pipeline"),
        ("compile", "helpers.pipelines"),
        ("submit", "helpers.pipelines"),
    ],
)
def test_make_passes_on_what_stands_on_its_command_line_and_nothing_that_is_exported(target, module):
    given = ["PIPELINE=ai-engineer", "RUNTIME=odh_dsp", "WATCH=true", "IMAGES=host/project", "MODEL_NAME=a b", "TASK=t"]
    environment = os.environ | {"SOURCE": "exported", "STORE": "exported"}
    environment = {name: value for name, value in environment.items() if not name.startswith("MAKE")}
    command = ["make", "-n", "-o", ".venv/.ready", "-o", "setup", target, *given]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    (line,) = [line for line in done.stdout.replace("\\\n", "").splitlines() if module in line]
    words = [word for word in line.split() if "=" in word and not word.startswith("PYTHON")]
    assert sorted(words) == ['MODEL_NAME="$MODEL_NAME"', 'TASK="$TASK"'], "the shell puts the values in, as they are"
