"""How a pod finds the registry and gets in: the Service's annotation, the service account's token, the RoleBinding."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from helpers.errors import InvalidParameter, NotFound, RegistryUnreachable
from helpers.registry import connect
from helpers.registry.address import resolve, silent_hint, token_for
from helpers.registry.connection import refusal
from tests.plugins.certificates import make_certificates
from tests.plugins.cluster import RUNNER, KubernetesApi
from tests.plugins.registry import MEMORY, serving

RHOAI, ODH = "rhoai-model-registries", "odh-model-registries"
ADDRESS = "routing.opendatahub.io/external-address-rest"


def user_role(name: str) -> list[dict]:
    """The role that the registry's operator makes for its users."""
    return [{"apiGroups": [""], "resources": ["services", "endpoints"], "resourceNames": [name], "verbs": ["get"]}]


def publish(api: KubernetesApi, name: str, address: str, namespace: str = RHOAI) -> None:
    api.rules.grant("system:serviceaccounts:evaluation", user_role(name), namespace)
    annotations = {ADDRESS: address} if address else {}
    api.put({"kind": "Service", "metadata": {"name": name, "namespace": namespace, "annotations": annotations}})


def test_a_service_is_resolved_by_its_annotation_alone(kubernetes_api):
    publish(kubernetes_api, "models", "models-rest.apps.example.com:443")
    publish(kubernetes_api, "shared", "gateway.example.com/model-registry/shared", ODH)
    assert resolve("service:models") == "https://models-rest.apps.example.com:443"
    assert resolve("service:shared") == "https://gateway.example.com:443/model-registry/shared"
    assert resolve("service:odh-model-registries/shared") == resolve("service:shared")
    assert {request.verb for request in kubernetes_api.requests} == {"get"}


def test_a_registry_that_the_account_may_not_see_names_the_binding(kubernetes_api):
    kubernetes_api.put({"kind": "Service", "metadata": {"name": "models", "namespace": RHOAI}})
    with pytest.raises(RegistryUnreachable) as caught:
        resolve("service:models")
    assert f"{RUNNER} may not get services in namespace {RHOAI}" in str(caught.value)
    assert (
        f"oc -n {RHOAI} create rolebinding registry-user-models-evaluation --role=registry-user-models "
        "--group=system:serviceaccounts:evaluation"
    ) in str(caught.value)


def test_a_service_that_is_not_there_or_has_no_address_is_named(kubernetes_api):
    kubernetes_api.rules.grant(RUNNER, user_role("typo"), RHOAI)
    kubernetes_api.rules.grant(RUNNER, user_role("typo"), ODH)
    with pytest.raises(RegistryUnreachable, match=f"no Service typo in {RHOAI} or {ODH}"):
        resolve("service:typo")
    publish(kubernetes_api, "starting", "")
    with pytest.raises(RegistryUnreachable, match=f"{RHOAI}/starting has no annotation {ADDRESS}"):
        resolve("service:starting")
    with pytest.raises(InvalidParameter, match="names no Service"):
        resolve("service:")


def test_auto_is_the_local_registry_outside_a_pod(registry_server):
    assert resolve("auto") == registry_server.address


def test_auto_finds_the_clusters_only_registry(pod):
    with pytest.raises(RegistryUnreachable, match=r"may not list services.*service:NAME"):
        resolve("auto")
    listing = [{"apiGroups": [""], "resources": ["services"], "verbs": ["list"]}]
    for namespace in (RHOAI, ODH):
        pod.rules.grant("system:serviceaccounts:evaluation", listing, namespace)
    with pytest.raises(RegistryUnreachable, match="No model registry was found"):
        resolve("auto")
    publish(pod, "models", "models-rest.apps.example.com:443")
    pod.put({"kind": "Service", "metadata": {"name": "models-db", "namespace": RHOAI}})
    assert resolve("auto") == "https://models-rest.apps.example.com:443"
    publish(pod, "second", "second-rest.apps.example.com:443", ODH)
    with pytest.raises(InvalidParameter, match=f"service:{ODH}/second, service:{RHOAI}/models"):
        resolve("auto")


@pytest.fixture
def registry_by_annotation(pod: KubernetesApi, monkeypatch, tmp_path) -> Iterator[str]:
    """A registry over https that lets in the service account's token, announced on its Service."""
    folder = tmp_path / "registry"
    folder.mkdir()
    certificates = make_certificates(folder)
    monkeypatch.setenv("REGISTRY_CA_FILE", str(certificates.authority))
    with serving(MEMORY, token="runner-token", certificate=certificates.server) as server:
        publish(pod, "models", server.address.removeprefix("https://"))
        yield server.address


def test_a_pod_gets_in_with_its_own_token_stripped_of_the_newline(registry_by_annotation):
    registry = connect("service:models")
    assert registry.address == registry_by_annotation
    made = registry.register_candidate("a", "1", uri="file:///x", digest=f"sha256:{'a' * 64}", size_bytes=1)
    assert made.registry == registry_by_annotation


def test_the_pods_token_goes_only_over_https(pod):
    assert token_for("https://models-rest.apps.example.com:443") == "runner-token"
    assert token_for("http://models.example.com:80") == ""


def test_what_a_pod_is_refused_names_the_binding_or_the_token(pod):
    refused = refusal(httpx.Response(403), "https://models-rest.apps.example.com:443")
    assert "--role=registry-user-models --group=system:serviceaccounts:evaluation" in str(refused)
    refused = refusal(httpx.Response(403), "https://gateway.example.com:443/model-registry/shared")
    assert "--role=registry-user-shared" in str(refused)
    assert "REGISTRY_TOKEN" in str(refusal(httpx.Response(401), "https://models-rest.apps.example.com:443"))
    assert isinstance(refusal(httpx.Response(404), "https://models-rest.apps.example.com:443"), NotFound)


@pytest.mark.parametrize("host", ["models.rhoai-model-registries.svc:8443", "models.x.svc.cluster.local:8443/y"])
def test_an_inside_address_that_does_not_answer_is_explained(host):
    assert "NetworkPolicy" in silent_hint(f"https://{host}")
    assert "NetworkPolicy" not in silent_hint("https://registry.svc.example.com")
