"""Where a deployment answers, what opens it, which runtime and which files it uses, and how it goes away."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from helpers import errors, serving
from helpers.artifacts import now
from helpers.cluster import connect
from helpers.ingestion.publication import publish
from helpers.runtime import account
from helpers.serving import client
from helpers.serving.kserve.names import EXPIRES, MANAGED, service_name
from helpers.serving.kserve.proving import endpoint_url
from tests.plugins.packages import package
from tests.plugins.sources import write_policy
from tests.plugins.stores import PASSWORD, USER, oci_serving
from tests.serving import histories as h
from tests.serving.conftest import settings

INSIDE = "http://tiny-predictor.evaluation.svc.cluster.local"
TOKEN = "canary-token-of-the-account"


def service(url="", address="", **labels):
    status = {"url": url} | ({"address": {"url": address}} if address else {})
    return {"metadata": {"name": "tiny", "labels": labels}, "status": status}


EXPOSED = {"networking.kserve.io/visibility": "exposed"}


@pytest.mark.parametrize(("item", "spec", "url"), [
    (service(INSIDE), {"clusterIP": "None", "ports": [{"port": 80, "targetPort": 8080}]}, f"{INSIDE}:8080"),
    (service(INSIDE), {"clusterIP": "None", "ports": [{"port": 80, "targetPort": 9000}]}, f"{INSIDE}:9000"),
    (service(INSIDE), {"clusterIP": "None", "ports": [{"port": 80, "targetPort": "http"}]}, f"{INSIDE}:8080"),
    (service(INSIDE), {"clusterIP": "None"}, f"{INSIDE}:8080"),
    (service(INSIDE), {"clusterIP": "10.0.0.7", "ports": [{"port": 80, "targetPort": 8080}]}, INSIDE),
    (service(f"{INSIDE}/"), {"clusterIP": "10.0.0.7"}, INSIDE),
    (service(INSIDE, f"{INSIDE}:8080"), {"clusterIP": "None"}, f"{INSIDE}:8080"),
    (service("https://tiny-predictor.evaluation.svc.cluster.local:8443"), {"clusterIP": "None"},
        "https://tiny-predictor.evaluation.svc.cluster.local:8443"),
    (service("https://tiny.apps.example", f"{INSIDE}:8080", **EXPOSED), {"clusterIP": "None"}, "https://tiny.apps.example"),
    (service("https://tiny.apps.example", f"{INSIDE}:8080"), {"clusterIP": "None"}, f"{INSIDE}:8080"),
])  # fmt: skip
def test_the_address_is_found_by_the_headless_rule(kubernetes_api, item, spec, url):
    kubernetes_api.put({"kind": "Service", "metadata": {"name": "tiny-predictor"}, "spec": spec})
    assert endpoint_url(connect(), item) == url


def test_a_service_without_an_address_is_an_error(kubernetes_api):
    with pytest.raises(errors.EndpointUnreachable, match="says no address"):
        endpoint_url(connect(), service())


@pytest.fixture
def own_names(monkeypatch):
    """Let the names of Services lead to this machine, as a cluster's DNS leads to a pod."""
    real = socket.getaddrinfo
    inside = lambda host: "127.0.0.1" if str(host).endswith(".svc.cluster.local") else host  # noqa: E731
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *more, **named: real(inside(host), *more, **named))


def test_a_headless_service_is_reached_at_the_containers_port(project, selection, name, answers, own_names):
    vllm = answers(name)
    port = int(vllm.url.rpartition(":")[2])
    spec = {"clusterIP": "None", "ports": [{"port": 80, "targetPort": port}]}
    project.put({"kind": "Service", "metadata": {"name": f"{name}-predictor"}, "spec": spec})
    url = f"http://{name}-predictor.evaluation.svc.cluster.local"
    project.play("InferenceService", [(1, h.ready(url))])
    assert serving.deploy(selection, settings()).url == f"{url}:{port}"


@pytest.fixture
def in_pod(tmp_path, monkeypatch):
    """What Kubernetes mounts into a pod: a token, and the certificates of the cluster's own services."""
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text(f"{TOKEN}\n")
    monkeypatch.setattr(account, "FOLDER", folder)
    return folder


def test_a_token_opens_the_server_and_is_written_nowhere(project, selection, name, answers, in_pod, tmp_path, capsys):
    vllm = answers(name)
    vllm.token = TOKEN
    project.play("InferenceService", [(1, h.ready(vllm.url))])
    endpoint = serving.deploy(selection, settings(access="token"))
    assert endpoint.auth == "service-account"
    assert TOKEN not in endpoint.model_dump_json()
    assert TOKEN not in capsys.readouterr().out
    assert TOKEN not in json.dumps(project.all("InferenceService"))
    assert "ENDPOINT_API_KEY" not in os.environ
    assert {given for _, given in vllm.asked} == {f"Bearer {TOKEN}"}


def test_a_refused_token_says_what_the_account_needs(project, selection, name, answers, in_pod):
    vllm = answers(name)
    vllm.token = "another"
    project.play("InferenceService", [(1, h.ready(vllm.url))])
    with pytest.raises(
        errors.EndpointUnreachable, match=r"does not accept this account's token \(401\).*ENDPOINT_API_KEY"
    ):
        serving.deploy(selection, settings(access="token"))
    assert project.all("InferenceService") == []


def test_the_key_that_a_person_gave_comes_first_and_everything_is_put_back(in_pod, monkeypatch):
    monkeypatch.setenv("ENDPOINT_API_KEY", "given")
    monkeypatch.setenv("SSL_CERT_FILE", "/usual.pem")
    with client.access("service-account"):
        assert os.environ["ENDPOINT_API_KEY"] == "given"
    monkeypatch.delenv("ENDPOINT_API_KEY")
    with client.access("key"):
        assert "ENDPOINT_API_KEY" not in os.environ
    with client.access("service-account"):
        assert os.environ["ENDPOINT_API_KEY"] == TOKEN
    assert os.environ["SSL_CERT_FILE"] == "/usual.pem"
    assert "ENDPOINT_API_KEY" not in os.environ


CLIENTS = {
    "httpx": "import httpx, os; print(httpx.get(URL).status_code)",
    "aiohttp": (
        "import aiohttp, asyncio\nasync def go():\n"
        "    async with aiohttp.ClientSession() as s, s.get(URL, ssl=True) as r: print(r.status)\nasyncio.run(go())"
    ),
    "urllib": "import urllib.request; print(urllib.request.urlopen(URL).status)",
    "requests": "import requests; print(requests.get(URL).status_code)",
}


@pytest.fixture
def tls_server(in_pod, tmp_path):
    """A server whose certificate the cluster's own authority signed: nobody outside trusts it."""
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    key, certificate = tmp_path / "tls.key", in_pod / "service-ca.crt"
    subprocess.run(
        ["openssl", *command.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("library", CLIENTS)
def test_the_clusters_own_certificates_are_trusted_by_every_client_of_the_next_stages(tls_server, library):
    code = f"URL = {tls_server!r}\n{CLIENTS[library]}"
    with client.access("service-account"):
        assert client.healthy(tls_server)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.stdout == "200\n", done.stderr
        assert len(Path(os.environ["SSL_CERT_FILE"]).read_text().split("BEGIN CERTIFICATE")) > 50
    assert "certificate" in str(client.health(tls_server)).lower()


def test_without_rights_the_platforms_runtime_is_used(project, selection, name, answers):
    project.rules.revoke("create", "servingruntimes")
    project.put({"kind": "ServingRuntime", "metadata": {"name": "vllm-cuda-runtime"}, "spec": {}})
    project.play("InferenceService", [(1, h.ready(answers(name).url))])
    endpoint = serving.deploy(selection, settings())
    assert project.get("InferenceService", name)["spec"]["predictor"]["model"]["runtime"] == "vllm-cuda-runtime"
    serving.remove(endpoint)
    assert [item["metadata"]["name"] for item in project.all("ServingRuntime")] == ["vllm-cuda-runtime"]


@pytest.mark.parametrize(("changes", "said"), [
    ({}, r"no ServingRuntime vllm-cuda-runtime in .*may not create one.*apply -k.*vllm-cuda-runtime-template"),
    ({"resources": "cpu:2,memory:4Gi"}, "no ServingRuntime vllm-cpu-x86-runtime"),
    ({"resources": "cpu:2,memory:4Gi,amd.com/gpu:1"}, "no ServingRuntime vllm-rocm-runtime"),
    ({"serving_runtime": "mine"}, r"no ServingRuntime mine.*SERVING_RUNTIME"),
])  # fmt: skip
def test_a_runtime_that_is_not_there_is_told_before_anything_is_made(project, selection, changes, said):
    project.rules.revoke("create", "servingruntimes")
    with pytest.raises(errors.InvalidDeployment, match=said):
        serving.deploy(selection, settings(**changes))
    assert project.all("InferenceService") == []


def test_an_unknown_accelerator_needs_a_runtime(project, selection):
    with pytest.raises(errors.InvalidParameter, match=r"ServingRuntime for example\.com.*SERVING_RUNTIME"):
        serving.deploy(selection, settings(resources="cpu:2,memory:4Gi,example.com/npu:1"))


def test_without_any_right_on_runtimes_kserve_says_whether_it_is_there(project, selection, name, answers):
    for verb in ("create", "get", "list", "delete"):
        project.rules.revoke(verb, "servingruntimes")
    project.play("InferenceService", [(1, h.ready(answers(name).url))])
    endpoint = serving.deploy(selection, settings())
    assert "is removed" in serving.remove(endpoint)


def test_a_runtime_that_is_not_there_and_may_not_be_looked_for_is_told_by_name(project, selection, capsys):
    for verb in ("create", "get", "list", "delete"):
        project.rules.revoke(verb, "servingruntimes")
    project.play("InferenceService", [(1, h.invalid("RuntimeNotRecognized", "Waiting for runtime"))])
    with pytest.raises(errors.InvalidDeployment, match=r"Create the ServingRuntime vllm-cuda-runtime .*oc apply -k"):
        serving.deploy(selection, settings())
    said = capsys.readouterr().out
    assert "may not create a ServingRuntime in evaluation: vllm-cuda-runtime is used" in said
    assert "may not get servingruntimes" in said


def test_a_right_that_is_missing_is_named(project, selection):
    project.rules.revoke("create", "inferenceservices")
    with pytest.raises(errors.Forbidden, match=r"may not create inferenceservices\.serving\.kserve\.io in namespace"):
        serving.deploy(selection, settings())


def test_what_a_webhook_refuses_is_an_invalid_deployment(project, selection):
    project.check("InferenceService", lambda item: ["spec.predictor.model.args: not like this"])
    with pytest.raises(errors.InvalidDeployment, match="not like this"):
        serving.deploy(selection, settings())
    assert project.all("ServingRuntime") == []


@pytest.mark.parametrize(("change", "error", "said"), [
    (lambda api: api.remove("Secret", "assay-store"), errors.NotFound, r"no secret assay-store.*CONNECTION"),
    (lambda api: api.change("Secret", "assay-store", {"metadata": {"labels": {"opendatahub.io/managed": None}}}),
        errors.InvalidParameter, r"lacks the label opendatahub\.io/managed.*oc -n evaluation label secret"),
    (lambda api: api.change("Secret", "assay-store", {"data": {"AWS_S3_BUCKET": "b3RoZXI="}}),
        errors.InvalidParameter, "is for the bucket other"),
])  # fmt: skip
def test_a_connection_that_kserve_could_not_use_is_told_first(project, selection, change, error, said):
    change(project)
    with pytest.raises(error, match=said):
        serving.deploy(selection, settings())
    assert project.all("InferenceService") == []


def pull_secret(host):
    config = {"auths": {host: {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}}}
    return json.dumps(config).encode()


@pytest.fixture
def in_private_image(selection, tmp_path, monkeypatch):
    """The selection, published as an image in a registry that asks for a password."""
    with oci_serving(tmp_path / "registry", password=True) as registry, monkeypatch.context() as publisher:
        (tmp_path / "login").mkdir()
        (tmp_path / "login" / "config.json").write_bytes(pull_secret(registry.host))
        publisher.setenv("DOCKER_CONFIG", str(tmp_path / "login"))
        publisher.setenv("OCI_BASE_IMAGE", "scratch")
        uri = publish(package(tmp_path / "again"), f"oci://{registry.host}/models/ops")
        publisher.undo()
        yield selection.model_copy(update={"uri": uri}), registry.host


def test_the_pull_secret_of_the_model_opens_the_registry_for_the_check_too(
    project, in_private_image, answers, capsys, tmp_path
):
    selection, host = in_private_image
    policy = write_policy(tmp_path, registries=[host])
    with pytest.raises(errors.InvalidInput, match="does not allow"):
        serving.deploy(selection, settings())
    with pytest.raises(errors.SourceUnreachable, match="may not be read"):
        serving.deploy(selection, settings(policy=policy))
    data = {".dockerconfigjson": base64.b64encode(pull_secret(host)).decode()}
    project.put({"kind": "Secret", "metadata": {"name": "pull"}, "data": data})
    project.play("InferenceService", [(1, h.ready(answers(service_name(selection)).url))])
    assert serving.deploy(selection, settings(connection="pull", policy=policy)).digest_verified
    made = project.get("InferenceService", service_name(selection))["spec"]["predictor"]
    assert (made["imagePullSecrets"], made["model"]["storageUri"]) == ([{"name": "pull"}], selection.uri)
    assert "REGISTRY_AUTH_FILE" not in os.environ
    assert PASSWORD not in capsys.readouterr().out
    with pytest.raises(errors.InvalidParameter, match=r"assay-store opens no image registry.*CONNECTION"):
        serving.deploy(selection, settings(connection="assay-store", policy=policy))


def test_the_gpu_is_named_by_its_node_where_that_may_be_read(project, selection, name, answers):
    labels = {"nvidia.com/gpu.product": "NVIDIA-L40S", "nvidia.com/gpu.memory": "46068"}
    project.put({"kind": "Node", "metadata": {"name": "node-1", "labels": labels}})
    project.play("InferenceService", [(1, h.at_work()), (2, h.ready(answers(name).url))])
    two = {"resources": "cpu:4,memory:16Gi,nvidia.com/gpu:2"}
    hardware = serving.deploy(selection, settings(**two)).hardware
    assert (hardware.type, hardware.count, hardware.memory_gib) == ("nvidia.com/gpu", 2, None)
    project.rules.grant("system:authenticated", [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}])
    hardware = serving.deploy(selection, settings(**two)).hardware
    assert (hardware.type, hardware.count, hardware.memory_gib) == ("NVIDIA-L40S", 2, 90.0)


def test_a_server_on_the_cpu_is_described_by_what_it_was_given(project, selection, name, answers):
    project.play("InferenceService", [(1, h.ready(answers(name).url))])
    hardware = serving.deploy(selection, settings(resources="cpu:2500m,memory:8Gi")).hardware
    assert (hardware.type, hardware.count, hardware.memory_gib) == ("CPU", 2.5, 8.0)


@pytest.fixture
def deployed(project, selection, name, answers):
    project.play("InferenceService", [(1, h.at_work()), (2, h.ready(answers(name).url))])
    return serving.deploy(selection, settings())


def test_removal_waits_for_the_end_and_may_be_repeated(project, deployed, name):
    project.deletion_seconds["InferenceService"] = 10
    assert serving.remove(deployed) == f"evaluation/{name} is removed"
    assert (project.all("InferenceService"), project.all("ServingRuntime"), project.all("Pod")) == ([], [], [])
    assert serving.remove(deployed) == f"evaluation/{name} is not there any more"


def test_removal_leaves_what_is_not_ours(project, deployed, name):
    project.change("InferenceService", name, {"metadata": {"labels": {MANAGED: "argocd"}}})
    assert "is not Assay's and stays" in serving.remove(deployed)
    assert project.get("InferenceService", name)


def test_a_runtime_that_somebody_else_uses_too_stays(project, deployed, name):
    spec = {"predictor": {"model": {"runtime": name}}}
    project.put({"kind": "InferenceService", "metadata": {"name": "other"}, "spec": spec})
    serving.remove(deployed)
    assert [item["metadata"]["name"] for item in project.all("ServingRuntime")] == [name]
    assert [item["metadata"]["name"] for item in project.all("InferenceService")] == ["other"]


def test_an_end_that_does_not_come_says_where_to_look(project, deployed, monkeypatch):
    monkeypatch.setattr("helpers.serving.kserve.removing.GONE_SECONDS", 0.2)
    project.deletion_seconds["InferenceService"] = 100_000
    with pytest.raises(errors.TimedOut, match=r"The end of the InferenceService evaluation/.*finalizers"):
        serving.remove(deployed)


def existing(name, expires, owner="assay"):
    annotations = {EXPIRES: expires} if isinstance(expires, str) else {EXPIRES: (now() + expires).isoformat()}
    metadata = {"name": name, "labels": {MANAGED: owner}, "annotations": annotations}
    return {"kind": "InferenceService", "metadata": metadata, "spec": {"predictor": {"model": {"runtime": name}}}}


def test_the_sweep_removes_what_is_past_its_lifetime_and_nothing_else(project):
    ago, ahead = timedelta(minutes=-1), timedelta(minutes=1)
    for item in (existing("old", ago), existing("new", ahead), existing("odd", "soon"), existing("theirs", ago, "x")):
        project.put(item)
        project.put(item | {"kind": "ServingRuntime", "spec": {}})
    project.put(existing("orphan", ago) | {"kind": "ServingRuntime", "spec": {}})
    said = serving.remove_expired(settings())
    assert [line.split(",")[0].split(" is ")[0].split(" says ")[0] for line in said] == [
        "evaluation/odd", "evaluation/old", "evaluation/orphan",
    ]  # fmt: skip
    left = {
        kind: [item["metadata"]["name"] for item in project.all(kind)]
        for kind in ("InferenceService", "ServingRuntime")
    }
    assert left == {"InferenceService": ["new", "odd", "theirs"], "ServingRuntime": ["new", "odd", "theirs"]}
    assert serving.remove_expired(settings()) == ["evaluation/odd says no moment at which it expires, and stays"]


def test_outside_of_a_cluster_only_this_machine_is_swept(project):
    project.put(existing("old", timedelta(minutes=-1)))
    assert serving.remove_expired() == []
    assert project.requests == []
