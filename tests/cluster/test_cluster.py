"""The stages' view of a cluster: the real client against the stand-in, as the pipeline's own account."""

from __future__ import annotations

import pytest

from helpers import cluster
from helpers.errors import ClusterRefused, ClusterUnreachable, Forbidden, NotFound
from helpers.polling import wait_for
from tests.plugins.cluster import KubernetesApi

SERVICE = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {"name": "small", "labels": {"app": "assay"}},
    "spec": {"predictor": {"minReplicas": 1}},
}


@pytest.fixture
def connected(kubernetes_api: KubernetesApi) -> cluster.Cluster:
    return cluster.connect()


def test_an_object_lives_from_create_to_delete(kubernetes_api, connected):
    assert connected.namespace == "evaluation"
    assert connected.get("InferenceService", "small") is None
    made = connected.create(SERVICE)
    assert made["metadata"]["uid"]
    patched = connected.patch("InferenceService", "small", {"metadata": {"annotations": {"a": "b"}}})
    assert patched["metadata"]["annotations"] == {"a": "b"}
    assert connected.list("InferenceService", "app=assay") == [connected.get("InferenceService", "small")]
    assert connected.list("InferenceService", "app=other") == []
    assert connected.delete("InferenceService", "small") is True
    assert connected.delete("InferenceService", "small") is False
    assert {request.verb for request in kubernetes_api.requests} <= {"get", "list", "create", "patch", "delete"}


def test_what_happens_after_creation_is_seen_when_it_happens(kubernetes_api, connected):
    kubernetes_api.objects.speed = 100
    pod = {"kind": "Pod", "metadata": {"name": "small-predictor-1", "labels": {"app": "small"}}}
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    kubernetes_api.play("InferenceService", [(5, lambda api, item: api.put(pod)), (10, ready)])
    connected.create(SERVICE)
    wait_for(
        lambda: (connected.get("InferenceService", "small") or {}).get("status"),
        what="Ready", do="-", timeout=5, interval=0.01,
    )  # fmt: skip
    assert [item["metadata"]["name"] for item in connected.list("Pod", "app=small")] == ["small-predictor-1"]


def test_what_the_account_may_not_do_is_said_with_the_binding_that_is_missing(kubernetes_api, connected):
    kubernetes_api.rules.revoke("create", "servingruntimes")
    assert connected.allowed("create", "InferenceService")
    assert not connected.allowed("create", "ServingRuntime")
    assert not connected.allowed("watch", "InferenceService")
    with pytest.raises(Forbidden) as caught:
        connected.create({"kind": "ServingRuntime", "metadata": {"name": "vllm"}, "spec": {}})
    assert str(caught.value).startswith(
        "system:serviceaccount:evaluation:pipeline-runner-dspa may not create servingruntimes.serving.kserve.io "
        "in namespace evaluation. "
    )
    assert "oc -n evaluation apply -k runtime-images/openshift/project" in str(caught.value)


def test_a_token_that_is_not_accepted_is_never_shown(kubernetes_api, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(kubernetes_api.kubeconfig(token="canary-of-the-token")))
    with pytest.raises(Forbidden, match="expired") as caught:
        cluster.connect().list("Pod")
    assert "canary" not in str(caught.value)


def test_a_name_that_is_taken_and_an_invalid_object_are_refused(kubernetes_api, connected):
    connected.create(SERVICE)
    with pytest.raises(ClusterRefused, match='"small" already exists'):
        connected.create(SERVICE)
    kubernetes_api.check("InferenceService", lambda item: ["spec.predictor.model: Required value"])
    with pytest.raises(ClusterRefused, match=r"spec\.predictor\.model: Required value"):
        connected.create(SERVICE | {"metadata": {"name": "other"}})


def test_a_kind_that_the_cluster_does_not_serve_is_named(kubernetes_api, connected):
    kubernetes_api.unserved.add("inferenceservices")
    with pytest.raises(NotFound, match=r"serves no inferenceservices\.serving\.kserve\.io"):
        connected.get("InferenceService", "small")


def test_a_busy_cluster_is_asked_again(kubernetes_api, connected):
    kubernetes_api.fail(503, -1, 429)
    assert connected.create(SERVICE)["metadata"]["name"] == "small"


def test_a_cluster_that_does_not_answer_is_named(kubernetes_api, monkeypatch):
    kubernetes_api.address = "http://127.0.0.1:9"
    monkeypatch.setenv("KUBECONFIG", str(kubernetes_api.kubeconfig()))
    with pytest.raises(ClusterUnreachable, match=r"127\.0\.0\.1:9 does not answer within 0\.5 s"):
        cluster.connect(timeout=0.5).list("Pod")
