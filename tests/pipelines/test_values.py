"""A pipeline's values by the rules of its stages: what is refused before anything starts, on each of the commands."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from helpers.errors import InvalidInput, InvalidParameter
from helpers.pipelines import Pipeline, compiling, names
from helpers.pipelines.outputs import Node
from helpers.pipelines.values import assigned, check_stages, check_values, stage_variables
from helpers.runtime.workspace import ROOT
from tests.plugins.second import with_second

ENGINEER = Pipeline("ai-engineer")


@pytest.mark.parametrize("name", names())
def test_what_is_shipped_is_accepted(name):
    check_values(Pipeline(name), {})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"FRESH": "yes"}, "FRESH is 'yes': give true or false"),
        ({"SLO_TTFT_MS": "nan"}, "SLO_TTFT_MS is 'nan'"),
        ({"SLO_TTFT_MS": "-1"}, "SLO_TTFT_MS is '-1': Input should be greater than 0"),
        ({"TARGET_RATE": "inf"}, "TARGET_RATE is 'inf'"),
        ({"LIFETIME_SECONDS": "10.5"}, "LIFETIME_SECONDS is '10.5', which is no whole number"),
        ({"MAX_MODEL_LEN": "5"}, "MAX_MODEL_LEN is 5: Input should be greater than or equal to 16"),
        ({"RESOURCES": "cpu"}, "RESOURCES is 'cpu'"),
        ({"TASK": "a b"}, "TASK is 'a b'"),
        ({"ACCESS": "all"}, "ACCESS is 'all'"),
        ({"MIN_BASELINE_ACCURACY": "1.5"}, "MIN_BASELINE_ACCURACY is 1.5: Input should be less than or equal to 1"),
    ],
)
def test_a_value_that_a_stage_would_refuse_is_refused(given, said):
    with pytest.raises(InvalidParameter) as refused:
        check_values(ENGINEER, given)
    assert said in refused.value.what
    assert len(refused.value.what.split(";")) == 1


BAD = (
    "nonsense", "a b", "-1", "1e999", "nan", "http:/x", "cpu:4,memory:16GB", "../x", "x" * 300, "ftp://x", "s3://",
    "hf://", "sample://nosuch",
)  # fmt: skip
# What a value of a kind may be, so that no form is wrong: any word, any text, a name that only the registry knows.
WORDS = {
    "MODEL_VERSION", "TOLERATIONS", "SERVING_RUNTIME", "QUEUE", "CONNECTION", "SERVICE_ACCOUNT", "ENDPOINT_MODEL",
    "HARDWARE", "LICENSES", "USE_CASE",
}  # fmt: skip
# Files that only the run finds: those of a stage that is run by itself.
FOUND = {"DATA", "CONFIG", "ATTACHED_RESULTS"}
ANY = {
    "MLFLOW_EXPERIMENT_NAME",
    "GRADER_MODEL",
    "SYSTEM_INSTRUCTION",
    "MODELS",
    "BASELINE_NAME",
    "BASELINE_VERSION",
    *FOUND,
}
GOOD = {
    "MODEL_NAME": {"nonsense", "1e999", "nan"},
    **{each: {"nonsense", "1e999", "nan", "x" * 300, "a b"} for each in WORDS},
    "ENGINE_ARGS": {"-1"},
    "PROBES": {"nonsense", "1e999", "nan", "x" * 300},
    "TASK": {"nonsense", "1e999", "nan", "x" * 300},  # the folder tells whether there is one, as with METRIC
    "METRIC": {"nonsense", "-1", "1e999", "nan", "x" * 300},
}


def refused_by_form(pipeline, name, value):
    """Whether the stages refuse this value for what it is."""
    if name in ANY or (pipeline != "model-ops" and name in ("MODEL_NAME", "MODEL_VERSION")):
        return False
    return value not in GOOD.get(name, ())


def told(error):
    """The parameters that an error names, each once at least."""
    return {word.strip(":").partition(".")[0] for word in str(error).replace("(", " ").split() if word[:1].isupper()}


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("name", ["model-ops", "ai-engineer", "regression"])
def test_every_parameter_is_held_against_its_stage_and_all_are_told_at_once(name, value):
    pipeline = Pipeline(name)
    further = stage_variables(pipeline)
    given = dict.fromkeys([*pipeline.parameters, *further], value)
    wrong = {each for each in given if refused_by_form(name, each, value)}
    with pytest.raises(InvalidParameter) as here:
        check_values(pipeline, given, further)
    assert wrong <= told(here.value)
    stages = [Node(pipeline.file.parent / node["filename"], given, node["outputs"]) for node in pipeline.nodes]
    with pytest.raises(InvalidParameter) as canvas:
        check_stages(stages, given)
    assert wrong <= told(canvas.value)
    with pytest.raises(InvalidParameter) as away:
        compiling.check(pipeline, dict.fromkeys(pipeline.parameters, value), "", starts=True)
    assert wrong & {*pipeline.parameters} - {"SOURCE"} <= told(away.value)


@pytest.mark.parametrize("given", [{"SOURCE": "sample://ops-small"}, {}])
def test_a_sample_is_no_source_of_a_run_on_a_cluster(given):
    with pytest.raises(InvalidParameter, match="SOURCE is sample://"):
        compiling.check(Pipeline("model-ops"), given, "", starts=True)
    compiling.check(Pipeline("model-ops"), {}, "")  # compiled, SOURCE can still be given
    compiling.check(Pipeline("model-ops"), {"SOURCE": "s3://bucket/model"}, "", starts=True)


def test_a_metric_that_the_task_does_not_have_is_refused_with_those_that_it_has():
    for name in ("ai-engineer", "model-ops"):
        with pytest.raises(InvalidParameter, match=r"acuracy.* acc\b"):
            check_values(Pipeline(name), {"METRIC": "acuracy"})
        check_values(Pipeline(name), {"METRIC": "acc"})


@pytest.mark.parametrize("name", ["ENDPOINT_API_KEY", "HF_TOKEN"])
def test_a_key_is_no_parameter_and_is_not_repeated(name):
    with pytest.raises(InvalidParameter, match=name) as refused:
        check_values(ENGINEER, {name: "hunter2"}, stage_variables(ENGINEER))
    assert "hunter2" not in str(refused.value)
    assert "MAX_MODEL_LEN" not in str(refused.value)


@pytest.mark.parametrize(
    "value",
    [
        "https://me:hunter2@registry.example",
        "https://hunter2@registry.example",
        "HTTP://me:hunter2@host/path",
        "https://registry.example/v1?api_key=hunter2",
    ],
)
def test_an_address_with_a_password_is_refused_without_repeating_it(value):
    with pytest.raises(InvalidParameter, match="REGISTRY holds") as refused:
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
    assert {"SEED", "ENGINE_ARGS"} <= further
    assert not further & {*ENGINEER.parameters}
    check_values(ENGINEER, {"REPEATS": "1"}, further)
    with pytest.raises(InvalidParameter, match="REPEATS is 99"):
        check_values(ENGINEER, {"REPEATS": "99"}, further)


@pytest.mark.parametrize("name", ["model-ops", "ai-engineer", "regression"])
def test_a_parameter_that_the_criteria_replace_is_refused_with_the_line(name):
    pipeline = Pipeline(name)
    given = {"MIN_ACCURACY": "0.5", "MARGIN": "0.1", "COST_WEIGHT": "2", "GATE_POLICY": "gate.yaml"}
    with pytest.raises(InvalidParameter) as refused:
        check_values(pipeline, given, stage_variables(pipeline))
    for said in (
        'knowledge.acc: {must: ">= 0.5"}',
        "{margin: 0.1}",
        "cost.per_thousand_requests: {weight: 2}",
        "GATE_POLICY",
    ):
        assert said in refused.value.what


@pytest.mark.parametrize("name", ["model-ops", "ai-engineer", "regression"])
def test_criteria_that_cannot_be_read_are_refused_before_anything_starts(name, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("knowledge.acc: {weight: much}\nchat.ttft_p95: {weight: 1}\n")
    with pytest.raises(InvalidParameter) as refused:
        check_values(Pipeline(name), {"CRITERIA": str(path)})
    assert f"{path}:1: knowledge.acc.weight" in refused.value.what
    assert f"{path}:2: chat.ttft_p95" in refused.value.what
    path.write_text("knowledge.acc: {weight: 1, tolerance: 0.02}\n")
    data = check_values(Pipeline(name), {"CRITERIA": str(path)})
    assert data.files["CRITERIA"] == {data.values["CRITERIA"]: path}


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


def test_a_second_node_has_values_of_its_own_and_a_node_that_takes_the_pipelines_has_not():
    second = {"NAME": "examples", "TASK": "ops_assistant", "LIMIT": "40"}
    pipeline = with_second(Pipeline("ai-engineer"), lm_eval_task=second)
    compiling.check(pipeline, {"LIMIT": "60"}, "", starts=True)
    node = next(each for each in pipeline.nodes if {"env_var": "LIMIT", "value": "40"} in each["env_vars"])
    node["pipeline_parameters"].append("LIMIT")
    with pytest.raises(InvalidInput, match="LIMIT"):
        compiling.check(pipeline, {"LIMIT": "60"}, "", starts=True)


def test_a_pipeline_that_measures_nothing_may_ask_for_what_the_registry_has():
    pipeline = Pipeline("ai-engineer")
    pipeline.primary["nodes"][:] = pipeline.primary["nodes"][-1:]
    check_values(pipeline, {"TARGET_RATE": "5"})
