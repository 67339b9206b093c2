"""What `make compile` writes, held against the pipelines on the canvas and against what a cluster takes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import warnings

import pytest
import yaml
from google.protobuf.json_format import ParseDict
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec, PlatformSpec

from helpers.errors import InvalidInput
from helpers.pipelines import Pipeline, definition, finishing, names, processor
from helpers.pipelines.compiling import compile_for, compile_for_reading
from helpers.pipelines.outputs import DEFAULT
from helpers.records import git_commit
from helpers.runtime.workspace import ROOT
from tests.pipelines.conftest import drawn
from tests.plugins.harness import Compiled, as_text
from tests.plugins.hosted_api import CANARY

every_pipeline = pytest.mark.parametrize("name", names())
LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
RESOURCE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,56}[a-z0-9])?")


def by_command(folder):
    """Compile all pipelines as `make compile` does."""
    command = [sys.executable, "-m", "helpers.pipelines", "compile", "--out", str(folder)]
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    folder = tmp_path_factory.mktemp("build")
    by_command(folder)
    return folder


@pytest.fixture(scope="module")
def compiled(build):
    return {name: Compiled((build / f"{name}.yaml").read_text()) for name in names()}


def ordinary(compiled):
    """The tasks that are drawn on the canvas."""
    return [task for task in compiled.tasks() if not task.at_exit]


def test_two_compiles_of_the_same_are_equal(build, tmp_path):
    said = by_command(tmp_path)
    for name in names():
        assert (tmp_path / f"{name}.yaml").read_bytes() == (build / f"{name}.yaml").read_bytes()
        assert f"{name}.yaml: {len(Pipeline(name).stages)} stages" in said
    assert "RUNTIME=… compiles for one" in said


@every_pipeline
def test_kfp_reads_it_and_its_names_are_names_on_a_cluster(name, build, compiled):
    from kfp.components import load_component_from_file

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = load_component_from_file(str(build / f"{name}.yaml"))
    assert loaded.name == compiled[name].name == name.replace("_", "-")
    assert RESOURCE_NAME.fullmatch(compiled[name].name)
    for task in compiled[name].tasks():
        assert RESOURCE_NAME.fullmatch(task.key)
        labels = compiled[name].platform(task.executor)["podMetadata"]["labels"]
        assert all(LABEL.fullmatch(value) for value in labels.values()), labels


@every_pipeline
def test_each_container_has_the_image_and_resources_of_its_node(name, compiled):
    pipeline, containers = Pipeline(name), compiled[name].containers()
    tasks = ordinary(compiled[name])
    assert [task.name for task in tasks] == drawn(pipeline)
    for task, node in zip(tasks, pipeline.nodes, strict=True):
        container = containers[task.executor]
        assert container["image"] == node["runtime_image"]
        asked = container["resources"]
        assert (asked["resourceCpuRequest"], asked["resourceCpuLimit"]) == (str(node["cpu"]), str(node["cpu_limit"]))
        assert asked["resourceMemoryRequest"] == f"{node['memory']}G"
        assert asked["resourceMemoryLimit"] == f"{node['memory_limit']}G"


@every_pipeline
def test_nothing_is_taken_from_an_earlier_run(name, compiled):
    spec = compiled[name].spec
    for dag in (spec["root"]["dag"], *(item["dag"] for item in spec["components"].values() if "dag" in item)):
        for task in dag["tasks"].values():
            assert not task.get("cachingOptions", {}).get("enableCache")


@every_pipeline
def test_what_deploys_removes_it_once_more_however_the_run_ends(name, compiled):
    tasks = compiled[name].tasks()
    last = [task for task in tasks if task.at_exit]
    assert bool(last) == ("deploy_model" in Pipeline(name).stages)
    if last:
        (exit_task,), (removing,) = (
            last,
            [task for task in ordinary(compiled[name]) if task.name == "remove_deployment"],
        )
        containers, platform = compiled[name].containers(), compiled[name].platform
        own, its = containers[removing.executor], containers[exit_task.executor]
        assert its["env"].remove({"name": "ASSAY_EXIT_TASK", "value": "true"}) is None
        assert its == own
        assert platform(exit_task.executor) == platform(removing.executor)
        assert compiled[name].arguments(exit_task, {}) == compiled[name].arguments(removing, {})


@every_pipeline
def test_every_task_is_tried_again_after_a_minute_and_its_pod_knows_how_often(name, compiled):
    containers = compiled[name].containers()
    for task in compiled[name].tasks():
        assert (task.retries, task.backoff) == (2, (60, 2))
        assert {"name": "ASSAY_RETRIES", "value": "2"} in containers[task.executor]["env"]


@every_pipeline
def test_the_servers_own_types_take_both_documents(name, build):
    spec, platform = yaml.safe_load_all((build / f"{name}.yaml").read_text())
    # An unknown field or a wrong type raises, as in the server.
    parsed = ParseDict(spec, PipelineSpec())
    assert parsed.root.dag.tasks
    described = ParseDict(platform, PlatformSpec()).platforms["kubernetes"].deployment_spec.executors
    assert set(described) == set(parsed.deployment_spec["executors"].keys())


def test_a_record_in_a_pod_knows_the_commit_that_was_submitted(compiled, runtime, tmp_path):
    for found in compiled.values():
        for container in found.containers().values():
            assert {"name": "ASSAY_GIT_COMMIT", "value": git_commit()} in container["env"]
    path = compile_for(runtime, Pipeline("remove-expired"), tmp_path, {}, started_by="jane")
    (container,) = Compiled(path.read_text()).containers().values()
    assert {"name": "ASSAY_STARTED_BY", "value": "jane"} in container["env"]


def test_stages_are_named_by_their_nodes_and_not_by_their_place(build, tmp_path):
    # As after a node was dragged anew: Elyra numbers the tasks by the order in which they run.
    text = (build / "model-ops.yaml").read_text()
    swapped = text.replace("elyra/node-name: deploy_model", "elyra/node-name: other")
    (tmp_path / "model-ops.yaml").write_text(swapped)
    found = finishing.stages(tmp_path / "model-ops.yaml")
    assert found["run-a-file-2"] == "other"
    named = finishing.stages(build / "model-ops.yaml")
    assert [*named.values()] == [*Pipeline("model-ops").stages, "remove_deployment (exit)"]


@every_pipeline
def test_parameters_have_names_types_and_defaults_of_the_canvas(name, compiled):
    declared = compiled[name].spec["root"].get("inputDefinitions", {}).get("parameters", {})
    kinds = {"String": "STRING", "Integer": "NUMBER_INTEGER", "Float": "NUMBER_DOUBLE", "Bool": "BOOLEAN"}
    pipeline = Pipeline(name)
    assert declared.keys() == pipeline.parameters.keys()
    for key, item in declared.items():
        assert item["parameterType"] == kinds[pipeline.types[key]]
        assert as_text(item["defaultValue"]) == pipeline.parameters[key]


@every_pipeline
def test_every_placeholder_gets_a_value(name, compiled):
    for task in compiled[name].tasks():
        assert not [part for part in compiled[name].arguments(task, {}) if "{{$" in part]


@every_pipeline
def test_secrets_are_references_and_nothing_else(name, compiled):
    for task, node in zip(ordinary(compiled[name]), Pipeline(name).nodes, strict=True):
        given = {
            pair["envVar"]: (item["secretName"], pair["secretKey"])
            for item in compiled[name].platform(task.executor)["secretAsEnv"]
            for pair in item["keyToEnv"]
        }
        wanted = {item["env_var"]: (item["name"], item["key"]) for item in node["kubernetes_secrets"]}
        runtimes = {key: ("object-store", key) for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        role = {"PROJECT_ROLE": ("assay-signing", "PROJECT_ROLE")} if "SIGNING_KEY" in wanted else {}
        told = {
            key: (secret, key)
            for secret, (stages, names) in finishing.TELLING.items()
            if node["filename"].rpartition("/")[2].removesuffix(".ipynb") in stages
            for key in names
        }
        assert given == wanted | runtimes | role | told
        secrets = compiled[name].platform(task.executor)["secretAsEnv"]
        optional = {pair["envVar"] for secret in secrets if secret.get("optional") for pair in secret["keyToEnv"]}
        assert optional == role.keys() | told.keys()
        variables = {item["name"] for item in compiled[name].containers()[task.executor]["env"]}
        assert not variables & given.keys()


@pytest.mark.parametrize("name", ["ai-engineer", "regression"])
def test_an_endpoints_key_is_an_optional_secret_of_the_nodes_that_ask_it(name, compiled, tmp_path, monkeypatch):
    monkeypatch.setenv("ENDPOINT_API_KEY", CANARY)
    given = {"TARGET": "existing", "ENDPOINT_URL": "https://api.example/v1", "ENDPOINT_MODEL": "org/chat-1"}
    path = compile_for_reading(Pipeline(name), tmp_path, given)
    found = Compiled(path.read_text())
    holders = {
        task.name: item.get("optional", False)
        for task in found.tasks()
        for item in found.platform(task.executor)["secretAsEnv"]
        if item["secretName"] == "assay-endpoint"
        and item["keyToEnv"] == [{"secretKey": "ENDPOINT_API_KEY", "envVar": "ENDPOINT_API_KEY"}]
    }
    assert holders == dict.fromkeys(("registry_lookup", "deploy_model", *DEFAULT, "lm_eval_task-retention"), True)
    values = found.spec["root"]["inputDefinitions"]["parameters"]
    assert {key: values[key]["defaultValue"] for key in given} == given
    for file in tmp_path.rglob("*"):
        content = b"".join(_members(file)) if file.suffix == ".gz" else file.read_bytes() if file.is_file() else b""
        assert CANARY.encode() not in content, file


def _members(file):
    with tarfile.open(file) as archive:
        return [archive.extractfile(item).read() for item in archive if item.isfile()]


@every_pipeline
def test_a_node_gets_what_all_nodes_before_it_wrote(name, compiled):
    before: set[str] = set()
    for task, node in zip(ordinary(compiled[name]), Pipeline(name).nodes, strict=True):
        command = compiled[name].arguments(task, {})[0]
        assert set(listed(command, "inputs")) == before
        assert listed(command, "outputs") == node["outputs"]
        before |= set(node["outputs"])


def listed(command, option):
    found = re.search(rf"--{option} '([^']*)'", command)
    return found[1].split(";") if found else []


@every_pipeline
def test_nothing_tells_of_the_machine_that_compiled_it(name, build):
    text = (build / f"{name}.yaml").read_text()
    for word in (str(ROOT), str(build), os.path.expanduser("~") + "/", "127.0.0.1", "localhost", "/tmp/"):
        assert word not in text, word


@every_pipeline
def test_the_archives_hold_the_notebook_and_what_it_depends_on(name, build):
    folder = build / "archives" / name.replace("_", "-")
    nodes = Pipeline(name).nodes
    assert len(list(folder.iterdir())) == len(nodes)
    notebooks = ROOT / "notebooks"
    for stage, node in zip(Pipeline(name).stages, nodes, strict=True):
        held = []
        for path in folder.glob(f"{stage}-*.tar.gz"):  # two nodes of one notebook have one each
            with tarfile.open(path) as archive:
                held.append({member.name.removeprefix("./") for member in archive.getmembers() if not member.isdir()})
        matched = [found for pattern in node["dependencies"] for found in notebooks.glob(pattern)]
        named = [file for found in matched for file in ([found] if found.is_file() else found.rglob("*"))]
        named = [file for file in named if file.is_file() and "__pycache__" not in file.parts]
        assert {f"{stage}.ipynb", *(str(file.relative_to(notebooks)) for file in named)} in held


def test_parameters_and_images_are_those_that_were_given(tmp_path):
    given = {"MODEL_NAME": "granite", "SLO_TTFT_MS": "250"}
    path = compile_for_reading(Pipeline("ai-engineer"), tmp_path, given, "registry.example:5000/evaluation")
    found = Compiled(path.read_text())
    declared = found.spec["root"]["inputDefinitions"]["parameters"]
    assert (declared["MODEL_NAME"]["defaultValue"], declared["SLO_TTFT_MS"]["defaultValue"]) == ("granite", "250")
    assert {item["image"] for item in found.containers().values()} == {
        f"registry.example:5000/evaluation/{image}:0.1.0" for image in definition.OURS if image != "train"
    }


def test_for_a_runtime_the_file_and_the_archives_fit_together(runtime, s3_bucket, tmp_path):
    path = compile_for(runtime, Pipeline("remove-expired"), tmp_path, {})
    (archive,) = s3_bucket.keys()
    command = Compiled(path.read_text()).arguments(Compiled(path.read_text()).tasks()[0], {})[0]
    for part in (s3_bucket.endpoint, s3_bucket.name, *archive.split("/")):
        assert f"'{part}'" in command
    assert "pipelines-store" in path.read_text()


def test_what_elyra_refuses_is_told_with_the_node():
    broken = Pipeline("remove-expired").for_elyra({}, "")
    broken["pipelines"][0]["nodes"][0]["app_data"]["component_parameters"]["filename"] = "notebooks/nowhere.ipynb"
    with pytest.raises(InvalidInput, match=r"Elyra refuses the pipeline: remove_deployment.*Correct it on the canvas"):
        processor.parse(broken)


def test_the_files_are_yaml_that_a_person_can_read(build):
    for name in names():
        first, second = yaml.safe_load_all((build / f"{name}.yaml").read_text())
        assert first["pipelineInfo"]["description"]
        assert second["platforms"]["kubernetes"]


@every_pipeline
def test_a_shell_gives_every_node_its_own_values_however_many_they_are(name, build):
    found = Compiled((build / f"{name}.yaml").read_text())
    for container in found.containers().values():
        reading = [line for line in container["args"][0].splitlines() if re.match(r"[A-Z0-9_]+=", line)]
        names = [line.partition("=")[0] for line in reading]
        asked = "; ".join([*reading, *(f'echo "${each}"' for each in names)])
        done = subprocess.run(["sh", "-c", asked, *names], capture_output=True, text=True, check=True, timeout=10)
        assert done.stdout.split() == names
