"""deploy_model and remove_deployment go on when the Kubernetes API goes away for a moment, whenever that is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from helpers import serving
from helpers.cluster import transport
from helpers.serving.kserve.names import service_name
from tests.plugins.doors import Door, door
from tests.serving import histories as h
from tests.serving.conftest import settings

pytestmark = [pytest.mark.load, pytest.mark.usefixtures("hurried")]
AWAY = 0.5  # seconds
LOOKS = 12  # requests that deploy_model makes at least: what is there, both objects, and the first looks at them
REMOVALS = 5  # those of remove_deployment: what there is of the run, its end, and a look


@contextmanager
def shut_at(api, request: int, monkeypatch) -> Iterator[Door]:
    """Let the stage reach the API through a door that is shut from this request on."""
    behind = api.address
    with door(behind) as opened:
        api.address = opened.address
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig()))
        api.address = behind
        opened.away(AWAY, "cut", after=request - 1)
        yield opened


@pytest.mark.parametrize("request_", range(1, LOOKS + 1))
def test_deploy_model_waits_for_the_api_from_any_request_on(project, selection, answers, monkeypatch, request_):
    monkeypatch.setattr(transport, "READ_SECONDS", 1)
    vllm = answers(service_name(selection))
    project.play("InferenceService", [(1, h.preparing()), (4, h.ready(vllm.url))])
    with shut_at(project, request_, monkeypatch) as opened:
        endpoint = serving.deploy(selection, settings())
    assert (endpoint.url, endpoint.digest_verified, opened.shut) == (vllm.url, True, 1)
    assert [service["metadata"]["name"] for service in project.all("InferenceService")] == [service_name(selection)]


@pytest.mark.parametrize("request_", range(1, REMOVALS + 1))
def test_remove_deployment_waits_for_the_api_from_any_request_on(project, selection, answers, monkeypatch, request_):
    monkeypatch.setattr(transport, "READ_SECONDS", 1)
    selection = selection.model_copy(update={"run": "a-run"})
    vllm = answers(service_name(selection))
    project.play("InferenceService", [(1, h.preparing()), (4, h.ready(vllm.url))])
    serving.deploy(selection, settings())
    with shut_at(project, request_, monkeypatch) as opened:
        removed = serving.remove_run("a-run", settings())
    assert (len(removed), opened.shut) == (1, 1)
    assert project.all("InferenceService") == project.all("Pod") == []
