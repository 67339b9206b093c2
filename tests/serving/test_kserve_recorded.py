"""What the judge says at each moment that was recorded on a real cluster (tests/facts/kserve)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from helpers import errors
from helpers.serving.kserve.failures import Failure
from helpers.serving.kserve.pods import pod_failure
from helpers.serving.kserve.proving import endpoint_url
from helpers.serving.kserve.state import Seen, judge

FACTS = Path(__file__).parents[1] / "facts" / "kserve"
EVENTS = "events-failedmount"


def recorded(name: str) -> list[tuple[float, Seen]]:
    """Return the recorded moments of a file: seconds, and what the cluster said; the first one was before anything."""
    content = json.loads((FACTS / f"{name}.json").read_text())
    if isinstance(content, dict):
        return [(0.0, Seen(content, []))]
    found, began = [], None
    for moment in content:
        service = moment["isvc"] and {"metadata": {**moment["isvc"]}, "status": moment["isvc"]["status"]}
        began = moment["t"] if service and began is None else began
        deployment = moment["deployment"] and {"status": moment["deployment"]}
        pods = [
            {"metadata": {"name": pod["labels"]["pod-template-hash"], "labels": pod["labels"]}, "status": pod["status"]}
            for pod in moment["pods"]
        ]
        found.append((moment["t"], Seen(service, pods, deployment, age=moment["t"] - (began or 0.0))))
    return found


def said(seen: Seen) -> str:
    found = judge(seen)
    if not isinstance(found, Failure):
        return found
    patience = "QUEUE_SECONDS" if found.queued else f"{found.patience:g} s"
    return f"{found.error.__name__} after {patience}: {found.what}"


INIT, BEGUN, PULLED = "storage-initializer: PodInitializing", "storage-initializer is at work", "kserve-container: Pod"
UP = "its pod is ready, the service is not: PredictorReady is False (MinimumReplicasUnavailable"
NO_POD, STOPPED = "no pod yet", "DeploymentStopped after 0 s: somebody stopped it"
TAKEN = "NotSchedulable after QUEUE_SECONDS: no node has enough free nvidia.com/gpu (0/1"
ENDED = "kserve-container ended with exit code {} and is started again"
PULL = "ImageUnavailable after 75 s: the image quay.io/"
NO_KEY = "ModelUnavailable after 10 s: its pod is refused (admission webhook"
NO_BUCKET = "ModelUnavailable after 0 s: storage-initializer could not bring the model (…"
NO_ACCOUNT = "NotAdmitted after 5 s: its pod is refused (pods"
# What is said while there is an InferenceService; before and after "somebody removed it" is right.
SAID = {
    "d-delete": [BEGUN, "vLLM starts"],
    "d-stop": ["its node prepares it", STOPPED, STOPPED],
    "f-args": [NO_POD, BEGUN, BEGUN, ENDED.format(2)],
    "f-badimage": [BEGUN, BEGUN, PULLED, PULLED, PULL],
    "f-crash": [INIT, BEGUN, "vLLM starts", ENDED.format(3), "vLLM starts", ENDED.format(3), "vLLM starts"],
    "f-ctx": [NO_POD, BEGUN, BEGUN, ENDED.format(1)],
    "f-gpu": ["NotSchedulable after 20 s: no node could ever hold its pod: nvidia.com/gpu (0/1"],
    "f-health": [BEGUN, "vLLM starts", "vLLM starts"],
    "f-nokey": [NO_KEY] * 3,
    "f-oom": [NO_POD, BEGUN, BEGUN, "vLLM starts", "OutOfMemory after 0 s: kserve-container was killed"],
    "f-path": [NO_POD, BEGUN, BEGUN, NO_BUCKET, NO_BUCKET],
    "f-quota": ["NotAdmitted after 5 s: its pod is refused (pods"],
    "f-sa": [NO_POD, NO_ACCOUNT, NO_ACCOUNT],
    "fix-slowmodel": [INIT, BEGUN, PULLED, "vLLM starts, kube-rbac-proxy starts", UP, "ready"],
    "h-hiccup": [BEGUN, PULLED, PULL, "vLLM starts", UP, "ready"],
    "h-hiccup2": [INIT, BEGUN, PULLED, PULL, PULL],
    "hand-runtime-ks-standin": [
        "InvalidDeployment after 3 s: KServe does not accept it with the ServingRuntime ks-standin (NoSupportingRuntime"
    ],
    "hand-runtime-nosuch": [
        "InvalidDeployment after 10 s: KServe does not accept it with the ServingRuntime nosuch (RuntimeNotRecognized"
    ],
    "headless": ["its node prepares it", BEGUN, PULLED, "vLLM starts", UP, "ready"],
    "l-label": [INIT, TAKEN],
    "l-nolabel": [INIT],
    "mr-cpu": [NO_POD, INIT, BEGUN, *["vLLM starts"] * 4, "ready, by a server that another one replaces", "ready"],
    "mr-fixgpu": [NO_POD, BEGUN, PULLED, "vLLM starts", "vLLM starts", "ready"],
    "mr-gpu2": [TAKEN] * 3,
    "odh-3.0-longname-isvc": ["InvalidDeployment after 30 s: KServe cannot make its parts"],
    "odh-exposed-isvc": ["ready"],
    "odh-exposed-noroute": [NO_POD],
    "odh-ready": [INIT, BEGUN, "vLLM starts", "kube-rbac-proxy starts", UP, "ready; the registry's controller may"],
    "odh-ready-isvc": ["ready"],
    "odh-slowmodel": [INIT, BEGUN],
    "odh-token-isvc": ["ready"],
    "up-creating-1": [NO_POD],
    "up-creating-2": [NO_POD],
    "up-creating-4": ["ready"],
    "up-ready": ["ready"],
}


@pytest.mark.parametrize("name", sorted(path.stem for path in FACTS.glob("*.json") if path.stem != EVENTS))
def test_every_recorded_moment(name):
    moments = recorded(name)
    for _, seen in moments:
        if seen.service is None:
            assert said(seen).startswith("DeploymentStopped after 0 s: somebody removed its InferenceService")
    there = [(t, said(seen)) for t, seen in moments if seen.service]
    assert len(there) == len(SAID[name])
    for (t, found), expected in zip(there, SAID[name], strict=True):
        assert found.startswith(expected), f"{name} at {t} s"
        assert (found == "ready") == (expected == "ready"), f"{name} at {t} s"


def test_the_cause_at_the_end_of_a_message_is_told_and_names_keep_their_last_letter():
    [*_, (_, seen), _] = recorded("f-path")
    assert judge(seen).what.endswith("S3 resource 'no-such-bucket' not found.)")
    assert "INFO" not in judge(seen).what
    [_, (_, seen), _] = recorded("mr-gpu2")[:3]
    assert judge(seen).short == ("nvidia.com/gpu",)


@pytest.mark.parametrize("name", ["mr-cpu", "l-label", "mr-gpu2"])
def test_only_the_newest_replica_set_is_judged_in_whatever_order_the_pods_are_listed(name):
    for _, seen in recorded(name):
        if seen.deployment:
            assert said(seen) == said(seen._replace(pods=seen.pods[::-1]))


def test_a_pod_that_was_evicted_long_ago_keeps_nobody_waiting():
    [*_, (_, before), (_, last)] = recorded("mr-cpu")
    old = next(pod for pod in before.pods if pod["metadata"]["name"] not in [p["metadata"]["name"] for p in last.pods])
    assert said(last._replace(pods=[old, *last.pods])) == "ready, by a server that another one replaces"
    evicted = old | {"status": {"phase": "Failed", "reason": "Evicted"}}
    assert said(last._replace(pods=[evicted, *last.pods])) == "ready"
    assert said(last._replace(pods=[old])) == "ready, by a server that another one replaces"


def test_a_mount_that_failed_once_ends_nothing_and_one_that_goes_on_failing_does():
    """Every recorded event was of a certificate that came a moment later; each stays for an hour."""
    events = json.loads((FACTS / f"{EVENTS}.json").read_text())
    preparing = next(seen.pods[0]["status"] for _, seen in recorded("odh-slowmodel") if seen.pods)
    assert preparing["phase"] == "Pending"
    for event in events:
        pod = {"metadata": {"name": event["involvedObject"]["name"]}, "status": preparing}
        assert pod_failure(pod, events) is None
        now = datetime.now(UTC)
        going_on = event | {
            "firstTimestamp": (now - timedelta(seconds=64)).isoformat(),
            "lastTimestamp": now.isoformat(),
        }
        failure = pod_failure(pod, [going_on])
        assert failure.error is errors.ModelUnavailable
        assert event["message"].strip() in failure.what
        for begun in (seen.pods[0]["status"] for _, seen in recorded("fix-slowmodel")[2:]):
            assert pod_failure(pod | {"status": begun}, [going_on]) is None


def test_a_recorded_address_is_the_one_inside_the_cluster():
    def address(name):
        return endpoint_url(None, recorded(name)[-1][1].service | {"metadata": {"name": "ks-tiny", "labels": {}}})

    assert address("odh-token-isvc").endswith("-predictor.demo.svc.cluster.local:8443")
    [service] = [seen.service for _, seen in recorded("headless") if judge(seen) == "ready"]
    assert endpoint_url(None, service | {"metadata": {"name": "x"}}).endswith(".svc.cluster.local:8080")
    exposed = recorded("odh-exposed-isvc")[0][1].service
    assert endpoint_url(None, exposed) == "https://ksroute.demo.svc.cluster.local"
