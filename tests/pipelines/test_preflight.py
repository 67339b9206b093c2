"""`make preflight` against the stand-in for the Kubernetes API, a real S3 server and a real registry."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

from helpers.pipelines import definition
from helpers.pipelines.images import rename
from helpers.pipelines.preflight.__main__ import CHECKS, main
from helpers.pipelines.preflight.permissions import NEEDS
from helpers.pipelines.preflight.pipelines import DEFAULTS
from helpers.pipelines.preflight.project import ok
from helpers.pipelines.preflight.serving import INSIDE
from helpers.runtime import patience
from helpers.runtime.workspace import ROOT
from tests.plugins.cluster import NAMESPACE, RUNNER, SHIPPED, KubernetesApi, shipped_rbac
from tests.plugins.kube.resources import BY_KIND
from tests.plugins.kube.rules import Rules, runner_role
from tests.plugins.stores import KEYS, Bucket

CANARY = "canary-of-a-secret"
VLLM = {"spec": {"supportedModelFormats": [{"name": "vLLM"}]}}


class Pipelines(BaseHTTPRequestHandler):
    """Answers as a pipeline server does to its list of pipelines."""

    status = 200

    def log_message(self, *_) -> None:
        """Keep the tests' output clean."""

    def do_GET(self) -> None:
        known = self.headers.get("Authorization") == "Bearer runner-token"
        self.send_response(type(self).status if known else 401)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")


@pytest.fixture
def pipeline_server() -> Iterator[tuple[str, type[Pipelines]]]:
    handler = type("Handler", (Pipelines,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()
    thread.join()


def secret(api: KubernetesApi, name: str, values: dict[str, str], **labels: str) -> None:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    api.put({"kind": "Secret", "metadata": {"name": name, "labels": labels}, "data": data})


@pytest.fixture
def ready(kubernetes_api, s3_bucket: Bucket, registry_server, pipeline_server, monkeypatch, tmp_path) -> KubernetesApi:
    """A project in which nothing is missing, seen by an administrator in a workbench."""
    api = kubernetes_api
    for key in (*KEYS, "ENDPOINT"):
        monkeypatch.delenv(f"STORE_AWS_{key}")
    connection = {
        "AWS_ACCESS_KEY_ID": KEYS["ACCESS_KEY_ID"], "AWS_SECRET_ACCESS_KEY": KEYS["SECRET_ACCESS_KEY"],
        "AWS_S3_ENDPOINT": s3_bucket.endpoint, "AWS_S3_BUCKET": s3_bucket.name, "AWS_DEFAULT_REGION": KEYS["REGION"],
    }  # fmt: skip
    secret(api, "assay-store", connection)
    secret(api, "storage-config", {"assay-store": "{}"})
    secret(api, "assay-signing", {"SIGNING_KEY": CANARY, "SIGNING_PUBLIC_KEY": CANARY})
    secret(api, "assay-measuring", {"MEASURING_KEY": CANARY, "MEASURING_PUBLIC_KEY": CANARY})
    secret(api, "assay-endpoint", {"ENDPOINT_API_KEY": CANARY})
    secret(api, "pipelines", {"AWS_ACCESS_KEY_ID": CANARY, "AWS_SECRET_ACCESS_KEY": CANARY})
    storage = {"objectStorage": {"externalStorage": {"host": "s3"}}}
    server = {"kind": "DataSciencePipelinesApplication", "metadata": {"name": "dspa"}, "spec": storage}
    api.put(server | {"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    api.put({"kind": "ServingRuntime", "metadata": {"name": "vllm-cuda-runtime"}, **VLLM})
    api.put({"kind": "Node", "metadata": {"name": "gpu-1"}, "status": {"allocatable": {"nvidia.com/gpu": "2"}}})
    jupyter = elyra(tmp_path / "jupyter", pipeline_server[0])
    shutil.copytree(ROOT / "pipelines", tmp_path / "pipelines")
    monkeypatch.setattr(definition, "FOLDER", tmp_path / "pipelines")
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(jupyter.parent))
    for name in definition.OURS:
        tags = [{"tag": "0.1.0", "items": [{"image": "sha256:0"}]}]
        api.put({"kind": "ImageStream", "metadata": {"name": name}, "spec": {}, "status": {"tags": tags}})
        shutil.copytree(ROOT / "runtime-images" / name, tmp_path / "runtime-images" / name)
    rename(f"{INSIDE}/{NAMESPACE}", tmp_path)
    monkeypatch.setattr("jupyter_core.paths.ENV_JUPYTER_PATH", [])  # of this environment, which `make setup` fills
    (tmp_path / "token").write_text("runner-token\n")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(token="admin-token")))
    monkeypatch.setenv("REGISTRY_ADDRESS_LOCAL", registry_server.address)
    return api


def elyra(folder: Path, address: str) -> Path:
    """Write the runtime configuration that a workbench gets; return the folder of all metadata."""
    metadata = folder / "metadata"
    for name in ("runtimes", "runtime-images"):
        (metadata / name).mkdir(parents=True)
    config = {
        "display_name": "Pipeline", "engine": "Argo", "runtime_type": "KUBEFLOW_PIPELINES", "tags": [],
        "auth_type": "KUBERNETES_SERVICE_ACCOUNT_TOKEN", "cos_auth_type": "KUBERNETES_SECRET", "api_endpoint": address,
        "cos_endpoint": "https://s3.example.com", "cos_bucket": "pipelines", "cos_secret": "pipelines",
        "cos_username": CANARY, "cos_password": CANARY, "public_api_endpoint": "https://gateway.example.com/ns/",
    }  # fmt: skip
    runtime = {"display_name": "Pipeline", "schema_name": "kfp", "metadata": config}
    (metadata / "runtimes" / "odh_dsp.json").write_text(json.dumps(runtime))
    return metadata


@pytest.fixture
def check(ready: KubernetesApi, registry_server, capsys):
    """Run it and return the exit code and what it says by check, each line as `state text. do`."""

    def call(*arguments: str) -> tuple[int, dict[str, list[str]]]:
        code = main(["--json", "--registry", registry_server.address, "--seconds", "0.5", *arguments])
        output = capsys.readouterr().out
        assert CANARY not in output
        said: dict[str, list[str]] = {}
        for line in json.loads(output)["lines"]:
            said.setdefault(line["check"], []).append(f"{line['state']} {line['text']}. {line['do']}")
        return code, said

    return call


def test_a_project_in_which_nothing_is_missing(ready, check, s3_bucket, monkeypatch):
    code, said = check()
    assert (code, said.keys()) == (0, CHECKS.keys())
    assert {line.split()[0] for lines in said.values() for line in lines} == {"ok"}
    assert said["registry"][0].endswith("speaks v1alpha3. ")
    assert s3_bucket.keys() == []
    written = [(request.verb, request.resource) for request in ready.requests if request.verb not in ("get", "list")]
    assert written == []
    assert ready.all("Pod") == []


def test_json_stays_json_while_somebody_is_waited_for_and_nobody_for_longer_than_said(ready, check, monkeypatch):
    seen = []

    def waits(project):
        seen.append(patience.SECONDS)
        print("Waiting for the store")
        return [ok("it came")]

    monkeypatch.setitem(CHECKS, "store", waits)
    assert check()[1]["store"] == ["ok it came. "]
    assert seen == [0.5]
    assert patience.SECONDS > 0.5


def test_what_is_read_is_one_line_each(ready, registry_server, capsys):
    ready.remove("Secret", "assay-signing")
    assert main(["--registry", registry_server.address]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "1 thing to do."
    assert (
        "fix   signing secret   There is no Secret assay-signing, without which no node starts that needs it. "
        "Create it: runtime-images/openshift/project/README.md says how."
    ) in lines


def test_a_project_of_ai_engineers_that_holds_the_key_of_model_ops_is_told_how_to_move_it(ready, check):
    _, lines = check("--role", "ai-engineers")
    told = lines["signing secret"]
    assert [line.split()[0] for line in told] == ["fix", "fix"]
    assert "SIGNING_KEY, which every node of this project can read" in told[0]
    assert "oc create secret generic assay-signing -n evaluation" in told[0]
    api_only = {"SIGNING_PUBLIC_KEY": CANARY, "PROJECT_ROLE": "ai-engineers"}
    ready.remove("Secret", "assay-signing")
    secret(ready, "assay-signing", api_only)
    assert [line.split()[0] for line in check("--role", "ai-engineers")[1]["signing secret"]] == ["ok"]
    assert [line.split()[0] for line in check()[1]["signing secret"]] == ["fix"]


def no_namespace(api: KubernetesApi) -> None:
    api.remove("Namespace", NAMESPACE)


def no_rights(api: KubernetesApi) -> None:
    api.rules.revoke("create", "inferenceservices")


def no_server(api: KubernetesApi) -> None:
    api.remove("DataSciencePipelinesApplication", "dspa")


def server_not_ready(api: KubernetesApi) -> None:
    conditions = [{"type": "Ready", "status": "False", "message": "Database is unreachable"}]
    api.change("DataSciencePipelinesApplication", "dspa", {"status": {"conditions": conditions}})


def server_with_minio(api: KubernetesApi) -> None:
    api.change("DataSciencePipelinesApplication", "dspa", {"spec": {"objectStorage": None}})


def no_store_secret(api: KubernetesApi) -> None:
    api.remove("Secret", "assay-store")
    api.remove("Secret", "storage-config")


def store_secret_without_a_region(api: KubernetesApi) -> None:
    api.change("Secret", "assay-store", {"data": {"AWS_DEFAULT_REGION": None}})


def signing_key_empty(api: KubernetesApi) -> None:
    api.change("Secret", "assay-signing", {"data": {"SIGNING_KEY": ""}})


def no_measuring_key(api: KubernetesApi) -> None:
    api.remove("Secret", "assay-measuring")


def wrong_bucket(api: KubernetesApi) -> None:
    api.change("Secret", "assay-store", {"data": {"AWS_S3_BUCKET": base64.b64encode(b"no-such-bucket").decode()}})


def store_is_silent(api: KubernetesApi) -> None:
    address = base64.b64encode(b"http://127.0.0.1:9").decode()
    api.change("Secret", "assay-store", {"data": {"AWS_S3_ENDPOINT": address}})


def not_labelled(api: KubernetesApi) -> None:
    api.remove("Secret", "storage-config")


def labelled_and_not_copied(api: KubernetesApi) -> None:
    not_labelled(api)
    labels = {"opendatahub.io/dashboard": "true", "opendatahub.io/managed": "true"}
    api.change("Secret", "assay-store", {"metadata": {"labels": labels}})


def no_kserve(api: KubernetesApi) -> None:
    api.unserved.add("servingruntimes")


def no_runtime_and_no_right(api: KubernetesApi) -> None:
    api.remove("ServingRuntime", "vllm-cuda-runtime")
    api.rules.revoke("create", "servingruntimes")


def short_lived_runtime_and_no_right(api: KubernetesApi) -> None:
    no_runtime_and_no_right(api)
    labels = {"app.kubernetes.io/managed-by": "assay"}
    api.put({"kind": "ServingRuntime", "metadata": {"name": "granite-1-0", "labels": labels}, **VLLM})


def other_runtime_and_no_right(api: KubernetesApi) -> None:
    no_runtime_and_no_right(api)
    api.put({"kind": "ServingRuntime", "metadata": {"name": "mine"}, **VLLM})


def projects_role_missing(api: KubernetesApi) -> None:
    api.rules.grants = [grant for grant in api.rules.grants if grant.subject != RUNNER]
    api.rules.grant(RUNNER, runner_role(), NAMESPACE)


def operators_role_lacks_pods(api: KubernetesApi) -> None:
    api.rules.revoke("list", "pods")


def no_runtime_secret(api: KubernetesApi) -> None:
    api.remove("Secret", "pipelines")


def runtime_secret_with_other_keys(api: KubernetesApi) -> None:
    api.remove("Secret", "pipelines")
    secret(api, "pipelines", {"accesskey": CANARY, "secretkey": CANARY})


def no_gpu_in_the_quota(api: KubernetesApi) -> None:
    gpu_quota(api, "0", "0")


def gpu_quota(api: KubernetesApi, used: str, hard: str) -> None:
    amounts = {"hard": {"requests.nvidia.com/gpu": hard}, "used": {"requests.nvidia.com/gpu": used}}
    api.put({"kind": "ResourceQuota", "metadata": {"name": "gpus"}, "spec": {}, "status": amounts})


def quota(api: KubernetesApi, *names: str, **more: object) -> None:
    spec = {"hard": dict.fromkeys(names, "8"), **more}
    api.put({"kind": "ResourceQuota", "metadata": {"name": "compute"}, "spec": spec})


def limits(api: KubernetesApi, **defaults: dict) -> None:
    spec = {"limits": [{"type": "Pod", "max": {"cpu": "8"}}, {"type": "Container", **defaults}]}
    api.put({"kind": "LimitRange", "metadata": {"name": "defaults"}, "spec": spec})


def quota_without_limit_range(api: KubernetesApi) -> None:
    quota(api, "limits.cpu", "requests.memory", "pods")


def quota_with_half_a_limit_range(api: KubernetesApi) -> None:
    quota(api, "limits.cpu", "limits.memory")
    limits(api, default={"memory": "1Gi"}, defaultRequest={"cpu": "100m"})


FAILURES = [
    (no_namespace, "project", "There is no project evaluation"),
    (no_rights, "permissions", f"{RUNNER} may not create inferenceservices.serving.kserve.io"),
    (no_server, "pipeline server", "There is no pipeline server dspa"),
    (server_not_ready, "pipeline server", "is not ready: Database is unreachable"),
    (server_with_minio, "pipeline server", "has no external storage"),
    (no_store_secret, "store's secret", "There is no Secret assay-store"),
    (no_store_secret, "models' store", "KServe has no assay-store"),
    (store_secret_without_a_region, "store's secret", "lacks AWS_DEFAULT_REGION"),
    (signing_key_empty, "signing secret", "lacks SIGNING_KEY,"),
    (no_measuring_key, "measuring key", "There is no Secret assay-measuring"),
    (wrong_bucket, "store", "Could not write s3://no-such-bucket/assay/preflight/"),
    (store_is_silent, "store", "Could not write s3://"),
    (not_labelled, "models' store", "oc label secret assay-store -n evaluation opendatahub.io/dashboard=true"),
    (labelled_and_not_copied, "models' store", "is not in storage-config yet"),
    (no_kserve, "KServe", "serves no servingruntimes.serving.kserve.io"),
    (no_runtime_and_no_right, "KServe", "oc process -n redhat-ods-applications"),
    (
        short_lived_runtime_and_no_right,
        "KServe",
        "none that they look for. Let them (`oc apply -n evaluation -k runtime-images/",
    ),
    (other_runtime_and_no_right, "KServe", "SERVING_RUNTIME=mine"),
    (
        projects_role_missing,
        "permissions",
        "create, delete servingruntimes.serving.kserve.io, nor list events, nor get, create, delete "
        "prometheusrules.monitoring.coreos.com, nor get pods.metrics.k8s.io. Ask",
    ),
    (operators_role_lacks_pods, "permissions", "may not list pods. The pipeline server's operator writes the Role"),
    (no_runtime_secret, "runtime's secret", "There is no Secret pipelines"),
    (runtime_secret_with_other_keys, "runtime's secret", "lacks AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"),
    (no_gpu_in_the_quota, "GPU", "The quota gpus has 0 of 0 requests.nvidia.com/gpu in use"),
    (quota_without_limit_range, "quota", "compute counts limits.cpu, requests.memory, and no LimitRange"),
    (quota_with_half_a_limit_range, "quota", "compute counts limits.cpu, and no LimitRange"),
]


@pytest.mark.parametrize(("breakage", "name", "words"), FAILURES, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_missing_is_said_and_the_rest_is_still_checked(ready, check, breakage, name, words):
    breakage(ready)
    code, said = check()
    assert code == 1
    assert said.keys() == CHECKS.keys()
    assert any(line.startswith("fix") and words in line for line in said[name]), said[name]


def test_a_project_without_a_key_for_endpoints_is_ready(ready, check):
    ready.remove("Secret", "assay-endpoint")
    code, said = check()
    assert (code, said["endpoint secret"][0].split()[0]) == (0, "note")


def test_a_gpu_that_is_in_use_is_waited_for(ready, check):
    gpu_quota(ready, "1", "1")
    code, said = check()
    assert code == 0
    assert said["GPU"][0].startswith("note The quota gpus has 1 of 1 requests.nvidia.com/gpu in use. A run waits ")


QUOTAS = {
    "with defaults for all it counts": ({"names": ["limits.cpu", "requests.memory"]}, {"cpu": "1", "memory": "1Gi"}),
    "of other things": ({"names": ["pods", "requests.storage"]}, {}),
    "of pods that end by a deadline": ({"names": ["limits.cpu"], "scopes": ["Terminating"]}, {}),
}


@pytest.mark.parametrize(("spec", "default"), QUOTAS.values(), ids=QUOTAS)
def test_a_quota_under_which_nodes_start(ready, check, spec, default):
    quota(ready, *spec["names"], **{name: value for name, value in spec.items() if name != "names"})
    limits(ready, default=default)
    code, said = check()
    assert code == 0
    assert said["quota"][0].startswith("ok")


def test_the_limit_range_that_the_readme_shows_is_enough_for_every_quota(ready, check):
    readme = (SHIPPED / "README.md").read_text()
    [shown] = [block for block in re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL) if "LimitRange" in block]
    ready.put(yaml.safe_load(shown))
    quota(ready, *DEFAULTS)
    assert check()[1]["quota"][0].startswith("ok")


def test_no_advice_names_a_parameter_that_does_not_exist(ready, check):
    ready.remove("Node", "gpu-1")
    known = {name for pipeline in definition.names() for name in definition.Pipeline(pipeline).parameters}
    code, said = check()
    assert (code, said["GPU"][0].split()[0]) == (0, "note")
    assert {"RESOURCES"} == set(re.findall(r"\b([A-Z_]+)=", said["GPU"][0])) <= known


def test_a_registry_that_does_not_answer_is_to_be_fixed(check):
    code, said = check("--registry", "http://127.0.0.1:9")
    assert code == 1
    assert said["registry"][0].startswith("fix The registry at http://127.0.0.1:9 does not answer")


def test_this_machines_own_registry_is_no_registry_for_pods(check):
    code, said = check("--registry", "auto")
    assert code == 0
    assert said["registry"][0].startswith("note The registry 'auto' is this machine's own")


def test_elyras_runtime(check, pipeline_server, monkeypatch, tmp_path):
    pipeline_server[1].status = 500
    assert "refused the question: 500" in check()[1]["Elyra's runtime"][0]
    (tmp_path / "token").write_text("old")
    assert "refused the token: 401" in check()[1]["Elyra's runtime"][0]
    assert check("--runtime", "other")[1]["Elyra's runtime"][0].startswith(
        "note No Pipelines runtime is called 'other'"
    )


def test_images_that_are_not_offered_or_not_built(ready, check, tmp_path):
    (tmp_path / "jupyter" / "metadata" / "runtime-images" / "assay-stage.json").unlink()
    ready.remove("ImageStream", "guidellm")
    ready.remove("ImageStream", "garak")
    ready.change("ImageStream", "lm-eval", {"status": {"tags": []}})
    code, said = check()
    assert code == 1
    offered, garak, guidellm, lm_eval, promptfoo, stage = said["images"]
    assert offered.startswith(f"note Elyra does not offer {INSIDE}/evaluation/stage:0.1.0. ")
    assert guidellm.startswith("fix There is no image stream guidellm in evaluation. ")
    assert lm_eval.startswith(f"fix {INSIDE}/evaluation/lm-eval:0.1.0 is not built. See how the build went: ")
    assert garak.startswith("note There is no image stream garak in evaluation. ")
    assert stage[:2] == promptfoo[:2] == "ok"


def test_images_that_the_cluster_built_are_named_by_digest_and_found(ready, check, tmp_path):
    names = rename(f"{INSIDE}/{NAMESPACE}", tmp_path)
    assert set(names.values()) == {f"{INSIDE}/{NAMESPACE}/{name}@sha256:0" for name in definition.OURS}
    assert {line.split()[0] for line in check()[1]["images"]} == {"ok"}
    tags = [{"tag": "0.1.0", "items": [{"image": "sha256:1"}]}]
    ready.change("ImageStream", "guidellm", {"status": {"tags": tags}})
    assert check()[1]["images"][2].startswith(f"fix {INSIDE}/evaluation/guidellm@sha256:0 is not in the cluster's")


def test_without_a_cluster_the_store_and_the_registry_are_still_checked(check, monkeypatch, s3_bucket, tmp_path):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    for key, value in {**KEYS, "ENDPOINT": s3_bucket.endpoint, "BUCKET": s3_bucket.name}.items():
        monkeypatch.setenv(f"STORE_AWS_{key}", value)
    code, said = check()
    assert code == 2
    assert said["API server"][0].startswith("fix There is no cluster")
    assert said["KServe"] == ["note Not looked at, because the cluster's API was not reached. See above"]
    assert said["store"][0].startswith("ok")
    assert said["registry"][0].startswith("ok")


def test_a_token_that_has_expired(ready, check, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(ready.kubeconfig(token=CANARY)))
    code, said = check()
    assert code == 2
    assert "has expired" in said["API server"][0]


@pytest.fixture
def workbench(ready, monkeypatch, tmp_path) -> KubernetesApi:
    """A workbench as OpenShift AI makes it: its account may list pods and events, and reads no Secret."""
    account = f"system:serviceaccount:{NAMESPACE}:my-workbench"
    ready.users["workbench-token"] = account
    ready.rules.grant(account, [{"apiGroups": [""], "resources": ["pods", "events"], "verbs": ["list"]}], NAMESPACE)
    monkeypatch.setenv("KUBECONFIG", str(ready.kubeconfig(token="workbench-token")))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    return ready


def test_in_a_workbench_as_it_is_made_what_cannot_be_read_is_a_note(workbench, check):
    code, said = check()
    assert code == 0
    assert said["permissions"][0].startswith("note What pipeline-runner-dspa may do cannot be seen")
    assert "--role=assay-workbench --serviceaccount=evaluation:my-workbench" in said["permissions"][1]
    unseen = ("runtime's secret", "store's secret", "signing secret", "store", "models' store", "quota", "KServe")
    assert {name: said[name][0].split()[0] for name in unseen} == dict.fromkeys(unseen, "note")
    assert not [line for lines in said.values() for line in lines if "lacks" in line]
    assert not [request for request in workbench.requests if request.verb not in ("get", "list")]


def test_in_a_workbench_what_can_be_seen_to_be_missing_is_to_be_done(workbench, check, pipeline_server):
    pipeline_server[1].status = 500
    assert check()[0] == 1


def test_a_workbench_with_the_projects_role_sees_the_pipelines_rights_and_the_store(workbench, check):
    role = next(item for item in shipped_rbac() if item["metadata"]["name"] == "assay-workbench")
    workbench.rules.grant(workbench.users["workbench-token"], role["rules"], NAMESPACE)
    code, said = check()
    assert code == 0
    assert [line.split()[0] for line in said["permissions"]] == ["ok", "ok"]
    assert said["signing secret"][0].startswith("note")
    assert {said[name][0].split()[0] for name in ("store", "quota", "KServe", "models' store")} == {"ok"}
    projects_role_missing(workbench)
    workbench.rules.grant(workbench.users["workbench-token"], role["rules"], NAMESPACE)
    code, said = check()
    assert code == 1
    assert said["permissions"][0].startswith("fix")


def test_the_shipped_role_is_what_the_pipelines_lack_and_no_more():
    def allowed(documents: list[dict]) -> set[tuple[str, str]]:
        rules = Rules()
        rules.grant(RUNNER, runner_role(), NAMESPACE)
        rules.bind(documents, NAMESPACE)
        wanted = [(need.kind.partition("/"), verb) for need in NEEDS for verb in need.verbs]
        return {
            (BY_KIND[kind].plural + slash + part, verb)
            for (kind, slash, part), verb in wanted
            if rules.allow(RUNNER, verb, BY_KIND[kind].group, BY_KIND[kind].plural + slash + part, "any", NAMESPACE)
        }

    assert {need.kind for need in NEEDS if need.ours} == {"ServingRuntime", "Event", "PrometheusRule", "PodMetrics"}
    role = next(item for item in shipped_rbac() if item["metadata"]["name"] == "assay-pipeline")
    given = {(name, verb) for rule in role["rules"] for name in rule["resources"] for verb in rule["verbs"]}
    assert len(allowed(shipped_rbac())) == sum(len(need.verbs) for need in NEEDS)
    assert allowed(shipped_rbac()) - allowed([]) == given


def test_every_verb_that_serving_and_watching_use_is_asked_for_and_no_other():
    """Nodes are only looked at where that is allowed."""
    files = [path for room in ("serving", "monitoring") for path in sorted((ROOT / "helpers" / room).rglob("*.py"))]
    text = "\n".join(path.read_text() for path in files)
    calls = re.findall(r"cluster\.(\w+)\(\s*\"(\w+)\"", text)
    calls += [("list", kind) for kind in re.findall(r"\._all\(\"(\w+)\"", text)]
    used = {(kind, verb) for verb, kind in calls if verb in ("get", "list", "patch", "delete")}
    created = {(kind, "create") for kind in ("InferenceService", "ServingRuntime", "PrometheusRule")}
    asked_by_others = {("Pod/log", "get"), ("PodMetrics", "get")}  # in the path of a URL, and by Thanos
    asked = {(need.kind, verb) for need in NEEDS for verb in need.verbs}
    assert used | created | asked_by_others == asked | {("Node", "get"), ("Node", "list")}
