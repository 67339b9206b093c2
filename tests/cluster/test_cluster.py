"""The stages' view of a cluster: the real client against the stand-in, as the pipeline's own account."""

from __future__ import annotations

import logging
import traceback

import pytest

from helpers import cluster
from helpers.errors import ClusterRefused, ClusterUnreachable, Forbidden, NotFound
from helpers.runtime import account
from helpers.runtime.polling import wait_for
from tests.plugins.certificates import make_certificates
from tests.plugins.cluster import KubernetesApi
from tests.plugins.kube.replies import over_quota
from tests.plugins.kube.resources import BY_KIND

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
    assert connected.list("InferenceService", "app=assay") == [connected.get("InferenceService", "small")]
    assert connected.list("InferenceService", "app=other") == []
    assert connected.delete("InferenceService", "small") is True
    assert connected.delete("InferenceService", "small") is False
    assert {request.verb for request in kubernetes_api.requests} <= {"get", "list", "create", "delete"}


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


def test_a_cluster_that_does_not_answer_is_named(kubernetes_api, monkeypatch, hurried):
    kubernetes_api.address = "http://127.0.0.1:9"
    monkeypatch.setenv("KUBECONFIG", str(kubernetes_api.kubeconfig()))
    with pytest.raises(ClusterUnreachable, match=r"127\.0\.0\.1:9 does not answer .*Connection refused"):
        cluster.connect().list("Pod")


def test_a_pod_uses_its_own_account_and_the_renewed_token(pod):
    assert account.in_pod()
    connected = cluster.connect()
    assert connected.namespace == "evaluation"
    assert connected.account() == "system:serviceaccount:evaluation:pipeline-runner-dspa"
    pod.users["renewed"] = pod.users.pop("runner-token")
    with pytest.raises(Forbidden, match="expired"):
        connected.account()
    (account.FOLDER / "token").write_text("renewed\n")
    assert connected.account() == "system:serviceaccount:evaluation:pipeline-runner-dspa"


def test_kubeconfig_comes_before_the_pods_own_account(pod, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(pod.kubeconfig(token="admin-token", namespace="other")))
    connected = cluster.connect()
    assert (connected.namespace, connected.account()) == ("other", "admin")
    assert cluster.connect("third").namespace == "third"


def test_a_pod_without_a_token_says_so(pod):
    (account.FOLDER / "token").unlink()
    with pytest.raises(ClusterUnreachable, match="automountServiceAccountToken"):
        cluster.connect()


def test_a_certificate_that_is_not_trusted_is_named(pod):
    (pod.folder / "other").mkdir()
    other = make_certificates(pod.folder / "other").authority
    (account.FOLDER / "ca.crt").write_text(other.read_text())
    with pytest.raises(
        ClusterUnreachable, match=r"certificate of the cluster at https://127\.0\.0\.1:\d+ is not trusted"
    ):
        cluster.connect().account()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no: [yaml",
        "token: canary-in-a-file\n  - x: {",
        "a string",
        "current-context: gone\ncontexts: []",
        "contexts: 3",
    ],
)
def test_a_kubeconfig_that_cannot_be_read_is_named_without_its_content(tmp_path, monkeypatch, content):
    (tmp_path / "config").write_text(content)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    with pytest.raises(ClusterUnreachable, match=r"kubeconfig .*config cannot be used") as caught:
        cluster.connect()
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_without_a_cluster_it_is_said_how_to_get_one(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ClusterUnreachable, match=r"There is no cluster.*oc login"):
        cluster.connect()


def test_a_long_list_comes_in_pages(kubernetes_api, connected):
    for number in range(1001):
        kubernetes_api.put({"kind": "Event", "metadata": {"name": f"event-{number}"}})
    assert len(connected.list("Event")) == 1001
    assert [request.verb for request in kubernetes_api.requests] == ["list"] * 3


def test_the_body_of_a_secret_is_not_logged(kubernetes_api, connected, caplog):
    caplog.set_level(logging.DEBUG)
    kubernetes_api.put({"kind": "Secret", "metadata": {"name": "s"}, "data": {"key": "Y2FuYXJ5"}})
    assert connected.get("Secret", "s")["data"] == {"key": "Y2FuYXJ5"}
    assert "Y2FuYXJ5" not in caplog.text
    assert "runner-token" not in caplog.text


def test_logs_of_a_container_that_ran_and_of_one_that_did_not(kubernetes_api, connected):
    kubernetes_api.put({"kind": "Pod", "metadata": {"name": "p"}})
    assert connected.logs("p") == ""
    kubernetes_api.log("p", "one\ntwo\nthree\n", container="kserve-container", previous=True)
    assert connected.logs("p", container="kserve-container", lines=2, previous=True) == "two\nthree\n"
    assert connected.logs("gone") == ""
    kubernetes_api.rules.revoke("get", "pods/log")
    with pytest.raises(Forbidden, match="may not get pods/log in namespace evaluation"):
        connected.logs("p")


def test_a_quota_is_no_question_of_rights(kubernetes_api, connected):
    def full(item):
        amount = "requests.nvidia.com/gpu=1"
        text = f"gpus, requested: {amount}, used: {amount}, limited: {amount}"
        raise over_quota(BY_KIND["InferenceService"], item["metadata"]["name"], text)

    kubernetes_api.check("InferenceService", full)
    with pytest.raises(ClusterRefused, match=r"exceeded quota: gpus.*larger ResourceQuota"):
        connected.create(SERVICE)


def test_an_object_whose_creation_was_not_answered_is_taken_as_created(kubernetes_api, connected):
    kubernetes_api.fail_after("create")
    assert connected.create(SERVICE)["metadata"]["name"] == "small"
    assert [request.verb for request in kubernetes_api.requests] == ["create", "create", "get"]
    kubernetes_api.fail_after("delete")
    assert connected.delete("InferenceService", "small") is True


def test_deletion_takes_its_time_and_what_is_owned_goes_too(kubernetes_api, connected):
    kubernetes_api.objects.speed = 20
    kubernetes_api.deletion_seconds["InferenceService"] = 5
    owner = connected.create(SERVICE)["metadata"]
    reference = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "name": "small",
        "uid": owner["uid"],
    }
    kubernetes_api.put({"kind": "Pod", "metadata": {"name": "p", "ownerReferences": [reference]}})
    assert connected.delete("InferenceService", "small")
    assert connected.get("InferenceService", "small")["metadata"]["deletionTimestamp"]
    wait_for(lambda: connected.get("InferenceService", "small") is None, what="-", do="-", timeout=5, interval=0.02)
    wait_for(lambda: connected.get("Pod", "p") is None, what="-", do="-", timeout=5, interval=0.02)


def test_another_accounts_rights_are_an_administrators_question(kubernetes_api, connected, monkeypatch):
    with pytest.raises(Forbidden, match="may not create localsubjectaccessreviews"):
        connected.allowed("create", "Pod", account="pipeline-runner-dspa")
    monkeypatch.setenv("KUBECONFIG", str(kubernetes_api.kubeconfig(token="admin-token")))
    admin = cluster.connect()
    assert admin.allowed("create", "InferenceService", account="pipeline-runner-dspa")
    assert not admin.allowed("update", "InferenceService", account="pipeline-runner-dspa")
    assert not admin.allowed("create", "InferenceService", account="default")
