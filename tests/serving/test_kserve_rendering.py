"""The objects for KServe: valid by the published schemas, and exactly what was asked for."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
import yaml
from jsonschema import Draft7Validator

from helpers.artifacts import Selection
from helpers.artifacts.run import label
from helpers.errors import InvalidParameter
from helpers.runtime.workspace import ROOT
from helpers.serving import arguments, histograms
from helpers.serving.kserve import check_and_serve, proving
from helpers.serving.kserve.names import DIGEST, EXPIRES, RUN, SPECIFICATION, registry_label, service_name
from helpers.serving.kserve.rendering import inference_service, serving_runtime
from tests.serving.conftest import settings

SCHEMAS = ROOT / "tests" / "facts" / "schemas"
EXPIRY = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
OCI = "oci://quay.example/models/ops-small@sha256:" + "b" * 64
KNOWN = {
    "name": "Ops Small", "version": "1.0.0", "uri": OCI, "digest": "sha256:" + "a" * 64, "size_bytes": 2000,
    "registry": "https://gateway.example/model-registry/team", "registered_model_id": "7", "model_version_id": "12",
    "model_artifact_id": "3",
}  # fmt: skip
CPU = "cpu:2,memory:8Gi"


def selected(**changes):
    return Selection(**KNOWN | changes)


def rendered(selection=None, *, runtime="vllm-cuda-runtime", **changes):
    return inference_service(selection or selected(), settings(**changes), runtime, EXPIRY)


def model(**changes):
    return rendered(**changes)["spec"]["predictor"]["model"]


def closed(schema):
    """Return a schema that refuses what the API server would silently drop: a field that it does not know."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(value) for key, value in schema.items()}
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" and not open_ended:
        result["additionalProperties"] = False
    return result


@cache
def validator(version, plural):
    recorded = json.loads((SCHEMAS / f"kserve-rhoai-{version}-{plural}.json").read_text())
    recorded["schema"]["properties"]["metadata"] = {"type": "object", "additionalProperties": True}
    return recorded["name"], Draft7Validator(closed(recorded["schema"]))


def problems(item, version, plural):
    served, schema = validator(version, plural)
    assert item["apiVersion"] == f"serving.kserve.io/{served}"
    return [error.message for error in schema.iter_errors(item)]


VARIANTS = {
    "image": {},
    "bucket": {"selection": selected(uri="s3://models/assay/models/aa?endpoint=http://s3&defaultRegion=x")},
    "everything": {
        "runtime": "mine", "connection": "pull", "service_account": "server", "access": "exposed",
        "engine_args": "--enforce-eager --dtype=half", "tolerations": "nvidia.com/gpu:NoSchedule,team=llm,spot",
        "queue": "gpu-team", "resources": "cpu:500m,memory:24Gi,nvidia.com/mig-1g.5gb:2,ephemeral-storage:10Gi",
    },
    "processor": {"resources": CPU, "tolerations": ""},
}  # fmt: skip


@pytest.mark.parametrize("version", ["2.25", "3.5"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_inference_service_is_valid_and_no_field_is_unknown(version, variant):
    assert problems(rendered(**VARIANTS[variant]), version, "inferenceservices") == []


@pytest.mark.parametrize("version", ["2.25", "3.5"])
@pytest.mark.parametrize("resources", [CPU, "cpu:2,memory:8Gi,nvidia.com/gpu:1"])
def test_every_serving_runtime_is_valid_and_no_field_is_unknown(version, resources):
    runtime = serving_runtime(selected(), settings(resources=resources), EXPIRY)
    assert problems(runtime, version, "servingruntimes") == []
    assert "$" not in yaml.safe_dump(runtime)


def test_the_schemas_do_find_mistakes():
    wrong = rendered()
    wrong["spec"]["predictor"]["model"]["storageURI"] = "x"
    assert problems(wrong, "3.5", "inferenceservices")
    wrong = rendered()
    wrong["spec"]["predictor"]["minReplicas"] = "one"
    assert problems(wrong, "2.25", "inferenceservices")


def test_an_image_is_served_by_its_digest():
    assert model()["storageUri"] == OCI
    assert "storage" not in model()
    assert rendered(connection="pull")["spec"]["predictor"]["imagePullSecrets"] == [{"name": "pull"}]


def test_a_bucket_is_named_by_its_connection_and_the_path_in_it():
    selection = selected(uri="s3://models/assay/models/aa?endpoint=http://s3&defaultRegion=x")
    assert model(selection=selection)["storage"] == {"key": "assay-store", "path": "assay/models/aa"}
    assert model(selection=selection, connection="theirs")["storage"]["key"] == "theirs"
    assert "storageUri" not in model(selection=selection)
    assert "imagePullSecrets" not in rendered(selection, connection="theirs")["spec"]["predictor"]


def test_a_folder_of_this_machine_is_refused():
    with pytest.raises(InvalidParameter, match=r"file:///models, which no pod.*MODEL_STORE"):
        rendered(selected(uri="file:///models"))


def test_what_the_server_gets_and_tolerates():
    wanted = {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "1"}
    assert model()["resources"] == {"requests": wanted, "limits": wanted}
    predictor = rendered(tolerations="nvidia.com/gpu:NoSchedule,team=llm,spot")["spec"]["predictor"]
    assert predictor["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "team", "operator": "Equal", "value": "llm"},
        {"key": "spot", "operator": "Exists"},
    ]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (1, 1)


def test_two_runs_at_once_serve_the_same_version_twice_and_a_retry_finds_its_own():
    names = [service_name(selected(run=run)) for run in ("first", "second", "first")]
    assert names[0] == names[2] != names[1]


def test_what_a_run_makes_carries_its_label_from_the_start():
    of_run = selected(run="Nightly, 2026-11-02 " + "x" * 80)
    made = [rendered(of_run), serving_runtime(of_run, settings(), EXPIRY)]
    labels = {item["metadata"]["labels"][RUN] for item in made}
    assert labels == {label(of_run.run)}
    assert all(re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", value) for value in labels)
    assert RUN not in rendered()["metadata"]["labels"]


def test_arguments_of_the_engine():
    name = service_name(selected())
    assert model()["args"] == [f"--served-model-name={name}", "--max-model-len=2048"]
    four = "cpu:4,memory:16Gi,nvidia.com/gpu:4"
    assert "--tensor-parallel-size=4" in model(resources=four)["args"]
    given = model(resources=four, engine_args="--pipeline-parallel-size=4 --seed 1")["args"]
    assert given[2:] == ["--pipeline-parallel-size=4", "--seed", "1"]
    assert {"name": "VLLM_CPU_KVCACHE_SPACE", "value": "3"} in model(resources=CPU, kv_cache_gib=3)["env"]
    assert "VLLM_CPU_KVCACHE_SPACE" not in {item["name"] for item in model()["env"]}


def test_an_slo_is_an_edge_where_the_images_vllm_takes_edges(tmp_path, monkeypatch):
    given, *_ = [word for word in model(slo="ttft:300,itl:40")["args"] if word.startswith(check_and_serve.EDGES)]
    edges = json.loads(given.partition("=")[2])
    assert 0.3 in edges["time_to_first_token"]
    assert 0.04 in edges["inter_token_latency"]
    assert 0.15 in edges["request_latency"]  # which the queue has: half of the SLO on the first token
    monkeypatch.syspath_prepend(str(tmp_path))
    engine = tmp_path / "vllm" / "engine"
    engine.mkdir(parents=True)
    (tmp_path / "vllm" / "__init__.py").write_text("raise RuntimeError('only looked at')")
    commands = []
    monkeypatch.setattr(check_and_serve.os, "execvp", lambda _, command: commands.append(command))
    for source in ("--seed", f"--seed {check_and_serve.EDGES}"):
        (engine / "arg_utils.py").write_text(source)
        check_and_serve.main(check_and_serve.digest_of(tmp_path), str(tmp_path), "python", given, "--seed=1")
    assert commands == [("python", "--seed=1"), ("python", given, "--seed=1")]


def test_a_device_of_the_network_is_no_gpu():
    eight = model(resources="cpu:4,memory:16Gi,rdma/ib:1,nvidia.com/gpu:8")
    assert "--tensor-parallel-size=8" in eight["args"]
    assert eight["resources"]["limits"]["rdma/ib"] == "1"
    assert "VLLM_CPU_KVCACHE_SPACE" in {item["name"] for item in model(resources=f"{CPU},rdma/ib:1")["env"]}


@pytest.mark.parametrize(("access", "auth", "visibility"), [
    ("cluster", None, None), ("token", "true", None), ("exposed", "true", "exposed"),
])  # fmt: skip
def test_a_route_is_never_without_a_token(access, auth, visibility):
    metadata = rendered(access=access)["metadata"]
    assert metadata["annotations"].get("security.opendatahub.io/enable-auth") == auth
    assert metadata["labels"].get("networking.kserve.io/visibility") == visibility


def test_an_address_that_is_a_number_gives_no_label():
    labels = rendered(selected(registry="http://10.43.0.7:8080"))["metadata"]["labels"]
    assert "modelregistry.opendatahub.io/name" not in labels
    assert labels["modelregistry.opendatahub.io/registered-model-id"] == "7"


def test_the_readable_part_of_a_name_comes_first():
    assert service_name(selected(name="granite-4-0-micro-instruct")).startswith("granite-4-0-micro-")


def test_a_changed_service_is_never_two_servers():
    assert rendered()["spec"]["predictor"]["deploymentStrategy"] == {"type": "Recreate"}


def test_labels_lead_back_to_the_registry_and_tell_ours_from_others():
    metadata = rendered()["metadata"]
    assert metadata["labels"] == {
        "app.kubernetes.io/managed-by": "assay", "opendatahub.io/dashboard": "true",
        "modelregistry.opendatahub.io/registered-model-id": "7",
        "modelregistry.opendatahub.io/model-version-id": "12", "modelregistry.opendatahub.io/name": "team",
    }  # fmt: skip
    assert metadata["annotations"][DIGEST] == KNOWN["digest"]
    assert metadata["annotations"][EXPIRES] == "2026-11-02T09:30:00+00:00"
    assert metadata["annotations"]["serving.kserve.io/deploymentMode"] == "RawDeployment"


def test_the_specification_changes_with_what_is_served_and_not_with_the_time():
    def stated(later=0, **changes):
        item = inference_service(selected(), settings(**changes), "r", EXPIRY + timedelta(seconds=later))
        return item["metadata"]["annotations"][SPECIFICATION]

    assert stated() == stated(later=60) == stated(lifetime_seconds=60)
    assert len({stated(), stated(max_model_len=512), stated(resources=CPU), stated(access="token")}) == 4


@pytest.mark.parametrize("name", ["Ops Small", "7b", "ÄÖ", "a" * 200, "ops--small__x", "org/ops.small:v1", "_"])
def test_names_are_short_and_names_of_a_service(name):
    found = service_name(selected(name=name))
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", found)
    assert len(found) <= 36  # NAME-kube-rbac-proxy-sar-config is the name of a volume
    assert len(f"{found}-predictor") <= 63


def test_two_versions_never_share_a_name():
    same_words = [{}, {"version": "1-0-0"}, {"name": "ops small"}, {"name": "a" * 199}, {"name": "a" * 200}]
    same_name = [{"digest": "sha256:" + "c" * 64}, {"model_version_id": "13"}, {"registry": "https://other"}]
    changes = same_words + same_name
    assert len({service_name(selected(**change)) for change in changes}) == len(changes)
    moved = selected(uri="oci://registry.example/models/x", reason="another", model_artifact_id="4")
    assert service_name(moved) == service_name(selected())


@pytest.mark.parametrize(("address", "name"), [
    ("https://gateway.example/model-registry/team", "team"), ("https://team-rest.apps.example:443", "team"),
    ("http://team.rhoai-model-registries.svc:8080", "team"), ("http://127.0.0.1:8085", ""), ("http://[::1]:8085", ""),
    ("local", "local"),
])  # fmt: skip
def test_the_registrys_name_comes_from_its_address(address, name):
    assert registry_label(address) == name


def test_a_value_stays_a_value_whatever_it_looks_like():
    # What no contract lets in any more is text nevertheless.
    odd = selected().model_copy(update={"name": "x\n  evil: true", "registry": "${name}", "version": "${expires}"})
    metadata = rendered(odd)["metadata"]
    assert metadata["annotations"]["openshift.io/display-name"] == "x\n  evil: true ${expires}"
    assert "evil" not in metadata


def test_the_templates_are_in_the_wheel_and_used_from_there(tmp_path):
    """A stage's pod has the installed package and no repository."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "from helpers.serving.kserve import rendering as t; print(t.FOLDER.exists(), t._text('inference-service.yaml'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "site")},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    shipped = (ROOT / "runtime-images" / "vllm" / "inference-service.yaml").read_text()
    assert done.stdout == f"False {shipped}\n"


@pytest.mark.parametrize(("name", "value", "said"), [
    ("resources", "cpu:4", "memory is missing"), ("resources", "cpu:4,memory:16Gi,cpu:2", "cpu is there twice"),
    ("resources", "cpu:4,memory:16Gi,nvidia.com/gpu:0.5", "whole numbers"),
    ("resources", "cpu:many,memory:1Gi", "cpu:many"), ("resources", "cpu:4,memory:512m", "memory:512Mi is meant"),
    ("resources", "cpu:4,memory:16", "memory:16Gi is meant"), ("resources", "cpu:4,memory:0", "nothing"),
    ("resources", "cpu:4Gi,memory:16Gi", "cpu:4 is meant"), ("resources", "cpu:4,memory:16K", "memory:16Ki is meant"),
    ("resources", "cpu:4,memory:16ki", "memory:16Ki is meant"),
    ("resources", "cpu:4,memory:16GB", "memory:16Gi is meant"),
    ("resources", "cpu:4cores,memory:16Gi", "cpu:4 is meant"), ("resources", "cpu:0,memory:16Gi", "nothing"),
    ("tolerations", "a:Sometimes", "NoSchedule"), ("hardware", ":2", "HARDWARE is ':2'"), ("access", "open", "ACCESS"),
    ("connection", "Not_A_Name", "CONNECTION"), ("start_timeout_seconds", 2, "START_TIMEOUT_SECONDS"),
])  # fmt: skip
def test_bad_parameters_are_refused_by_name(name, value, said):
    with pytest.raises(InvalidParameter, match=f"(?i){name}.*{said}|{said}"):
        settings(**{name: value})


def test_defaults_depend_on_the_target(monkeypatch):
    here = settings(target="auto", start_timeout_seconds=0)
    assert (here.where, here.lifetime, here.start_timeout, here.arguments) == ("local", 3600, 300, ("--enforce-eager",))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    there = settings(target="auto", start_timeout_seconds=0)
    assert (there.where, there.lifetime, there.start_timeout, there.arguments) == ("kserve", 14_400, 1800, ())
    assert settings(lifetime_seconds=60, engine_args="--seed 1").lifetime == 60


@pytest.mark.parametrize(
    ("word", "taken"),
    [
        (histograms.arguments("ttft:500,itl:12.5")[0], True),
        ('--custom-histogram-buckets={"time_to_first_token":[0.1],"x":__import__}', False),
        ("--custom-histogram-buckets=/etc/passwd", False),
        ("--model=/another", False),
    ],
)
def test_the_edges_of_histograms_are_no_strangers_arguments(word, taken):
    with contextlib.nullcontext() if taken else pytest.raises(ValueError):  # noqa: PT011
        arguments.check([word], proving.OWN)
