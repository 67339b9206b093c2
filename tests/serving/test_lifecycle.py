"""What a run deployed is found by the run, served again where it is gone, and told from any other server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

from helpers import errors, serving, storage
from helpers.artifacts import Endpoint, Selection
from helpers.artifacts.run import VARIABLE
from helpers.registry import AttachedRecord
from helpers.runtime import partial, processes
from helpers.runtime.polling import wait_for
from helpers.serving import client, guard
from helpers.serving.guard import Guard
from helpers.serving.hardware import this_machine
from helpers.serving.kserve.names import MANAGED, RUN, SPECIFICATION, annotation, service_name
from tests.plugins import light_vllm
from tests.plugins.models import select, serve_settings
from tests.serving import histories as h
from tests.serving.conftest import settings

RUN_A, RUN_B = "b0ffd9ab-0000-4000-8000-00000000000a", "b0ffd9ab-0000-4000-8000-00000000000b"
SERVING = {"phase": "Running", "startTime": "2026-11-28T20:00:00Z"}


def running(restarts=0):
    return h.pod(SERVING | {"containerStatuses": [h.container(state={"running": {}}, restarts=restarts)]})


@pytest.fixture
def of_run(selection, monkeypatch):
    """The selection as a stage of run A reads it."""
    monkeypatch.setenv(VARIABLE, RUN_A)
    selection.write()
    return Selection.read()


@pytest.fixture
def vllm(project, of_run, answers):
    """What answers for run A's deployment, each time that it is made."""
    found = answers(service_name(of_run))
    project.play("InferenceService", [(1, running()), (2, h.ready(found.url))])
    return found


@pytest.fixture
def endpoint(project, of_run, vllm):
    """Run A's endpoint, as deploy_model leaves it."""
    serving.deploy(of_run, settings()).write()
    return Endpoint.read()


def names(api):
    return sorted(item["metadata"]["name"] for kind in ("InferenceService", "ServingRuntime") for item in api.all(kind))


def of_another(api, run=RUN_B, owner="assay"):
    labels = {MANAGED: owner, RUN: run}
    for kind in ("InferenceService", "ServingRuntime"):
        spec = {"predictor": {"model": {"runtime": "other"}}} if kind == "InferenceService" else {}
        api.put({"kind": kind, "metadata": {"name": "other", "labels": labels}, "spec": spec})


# Removed by the run


def test_a_run_frees_what_it_deployed_and_nothing_else(project, endpoint, of_run):
    of_another(project)
    name = service_name(of_run)
    assert {item["metadata"]["labels"][RUN] for item in (
        project.get("InferenceService", name), project.get("ServingRuntime", name),
    )} == {RUN_A}  # fmt: skip
    assert serving.remove_run(RUN_A, settings()) == [f"evaluation/{name} is removed"]
    assert serving.remove_run(RUN_A, settings()) == []
    assert names(project) == ["other", "other"]


def test_what_somebody_else_labelled_so_stays(project):
    of_another(project, RUN_A, "argocd")
    assert serving.remove_run(RUN_A, settings()) == []
    assert names(project) == ["other", "other"]


def test_without_a_run_nothing_is_taken_for_its_own(project):
    of_another(project, "")
    assert serving.remove_run("", settings()) == []
    assert names(project) == ["other", "other"]


def test_on_a_cluster_without_kserve_there_is_nothing_to_free(project):
    project.unserved |= {"inferenceservices", "servingruntimes"}
    assert serving.remove_run(RUN_A, settings()) == []


def test_an_account_that_may_not_make_a_deployment_has_made_none(project):
    project.rules.revoke("list", "inferenceservices")
    with pytest.raises(errors.Forbidden, match="may not list inferenceservices"):
        serving.remove_run(RUN_A, settings())
    project.rules.revoke("create", "inferenceservices")
    assert serving.remove_run(RUN_A, settings()) == []


def lost(file):
    file.unlink()


def spoiled(file):
    file.write_text("{")


def anothers(file):
    file.write_text(file.read_text().replace(RUN_A, RUN_B))


@pytest.mark.parametrize("accident", [None, lost, spoiled, anothers])
def test_remove_deployment_does_not_need_the_file(project, endpoint, accident):
    of_another(project)
    if accident:
        accident(storage.Path("artifacts/endpoint.json"))
    assert serving.remove_deployed(settings())[0] == f"{endpoint.handle} is removed"
    assert names(project) == ["other", "other"]


def test_remove_deployment_finds_the_cluster_of_the_file_where_target_says_another(project, endpoint):
    assert serving.remove_deployed(serve_settings(target="local")) == [f"{endpoint.handle} is removed"]
    assert names(project) == []


def test_an_endpoint_that_existed_stays_and_the_cluster_is_not_asked(project, endpoint):
    endpoint.model_copy(update={"target": "existing"}).write()
    project.requests.clear()
    assert "stays" in serving.remove_deployed(settings())[0]
    assert project.requests == []


DEPLOY = """
from helpers import serving
from helpers.artifacts import Selection
from tests.serving.conftest import settings
serving.deploy(Selection.read(), settings())
"""


@pytest.mark.parametrize(("sent", "after"), [
    (signal.SIGTERM, "InferenceService"), (signal.SIGKILL, "InferenceService"), (signal.SIGKILL, "ServingRuntime"),
])  # fmt: skip
def test_what_a_killed_stage_leaves_is_found_by_its_run(project, of_run, sent, after):
    """As a pod ends: the kernel is gone before it can remove anything."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    stage = subprocess.Popen([sys.executable, "-c", DEPLOY], env=environment)
    project.on_create(after, lambda _: stage.send_signal(sent))
    assert stage.wait(120) == -sent
    left = names(project)
    assert service_name(of_run) in left
    assert serving.remove_run(RUN_A, settings())
    assert names(project) == []


# Served again


def test_a_server_that_stands_is_left_alone(project, endpoint):
    project.requests.clear()
    assert serving.ensure() == endpoint
    assert {request.verb for request in project.requests} <= {"get", "list"}


def removed(api, name):
    api.remove("InferenceService", name)
    api.remove("ServingRuntime", name)


def replaced(api, name):
    api.remove("Pod", f"{name}-predictor-0")
    running()(api, api.get("InferenceService", name))


def restarted(api, name):
    running(restarts=1)(api, api.get("InferenceService", name))


@pytest.mark.parametrize("accident", [removed, replaced, restarted])
def test_a_server_that_is_gone_is_served_again_by_the_same_specification(project, endpoint, vllm, accident, capsys):
    name = endpoint.handle.partition("/")[2]
    before = project.get("InferenceService", name)
    accident(project, name)
    again = serving.ensure()
    after = project.get("InferenceService", name)
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["spec"] == before["spec"]
    assert annotation(after, SPECIFICATION) == annotation(before, SPECIFICATION)
    assert (again.digest, again.digest_verified, again.model) == (endpoint.digest, True, endpoint.model)
    assert again.server.uid == after["metadata"]["uid"]
    assert Endpoint.read() == again
    assert "is served again" in capsys.readouterr().out
    Guard(again).check()


def test_a_later_stage_takes_over_what_an_earlier_one_served_again(project, endpoint):
    removed(project, endpoint.handle.partition("/")[2])
    again = serving.ensure()
    endpoint.write()  # in a pod, the file is the one that deploy_model left
    assert serving.ensure().server == again.server


def test_what_is_served_again_is_verified_first(project, endpoint, of_run):
    removed(project, endpoint.handle.partition("/")[2])
    storage.put(b"other", f"{of_run.uri}/model-00001-of-00002.safetensors")
    with pytest.raises(errors.DigestMismatch, match="Do not serve it"):
        serving.ensure()
    assert names(project) == []


def test_a_server_that_somebody_changed_is_not_served_again(project, endpoint):
    patched(project, endpoint)
    with pytest.raises(errors.ServerChanged, match=r"somebody changed the InferenceService.*Find out who"):
        serving.ensure()


def test_an_endpoint_that_existed_is_not_served_again_and_says_so(project, endpoint, capsys):
    existing = endpoint.model_copy(update={"target": "existing", "url": "http://127.0.0.1:9"})
    existing.write()
    assert serving.ensure() == Endpoint.read()
    assert "is not served again" in capsys.readouterr().out


def test_a_file_of_before_says_that_it_has_to_be_deployed_again(project, endpoint):
    endpoint.model_copy(update={"server": None, "settings": {}}).write()
    assert serving.ensure().server is None
    removed(project, endpoint.handle.partition("/")[2])
    with pytest.raises(errors.ServerChanged, match="was removed"):
        serving.ensure()


# Told from any other


def patched(api, endpoint):
    model = {"args": ["--max-model-len=512"]}
    api.change("InferenceService", endpoint.model, {"spec": {"predictor": {"model": model}}})


CHANGES = {
    "its arguments": (patched, "somebody changed the InferenceService"),
    "its storage path": (
        lambda api, endpoint: api.change(
            "InferenceService", endpoint.model, {"spec": {"predictor": {"model": {"storage": {"path": "models/b"}}}}}
        ),
        "somebody changed the InferenceService",
    ),
    "removed": (lambda api, endpoint: removed(api, endpoint.model), "was removed"),
    "pod replaced": (lambda api, endpoint: replaced(api, endpoint.model), "predictor-0 was replaced"),
    "pod ended": (lambda api, endpoint: api.remove("Pod", f"{endpoint.model}-predictor-0"), "was replaced"),
    "pod restarted": (lambda api, endpoint: restarted(api, endpoint.model), "was started again"),
    "a second pod": (
        lambda api, endpoint: api.put(
            api.get("Pod", f"{endpoint.model}-predictor-0")
            | {"metadata": {"name": "second", "labels": {h.LABEL: endpoint.model}}}
            | {"status": {"phase": "Running", "conditions": [h.condition("Ready", "True")]}}
        ),
        "a second pod, second",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES)
def test_another_server_than_the_deployed_one_is_not_measured(project, endpoint, case):
    change, said = CHANGES[case]
    watched = Guard(endpoint)
    watched.check()
    change(project, endpoint)
    with pytest.raises(errors.ServerChanged, match=said) as caught:
        watched.check()
    assert endpoint.url in str(caught.value)
    with pytest.raises(errors.ServerChanged, match=said):
        Guard(endpoint).check()  # at the start of the next stage, too


def test_what_is_no_change_is_not_taken_for_one(project, endpoint):
    watched = Guard(endpoint)
    watched.check()
    project.change("InferenceService", endpoint.model, {"metadata": {"labels": {"added": "later"}}, "status": {"x": 1}})
    project.change("Pod", f"{endpoint.model}-predictor-0", {"metadata": {"annotations": {"seen": "yes"}}})
    project.fail(503, -1, 500)  # the API is away for a moment
    watched.check()


def counted(requests, start=1000.0):
    """What vLLM's /metrics says, as much of it as is looked at."""
    return (
        f'vllm:request_success_total{{finished_reason="stop",model_name="x"}} {requests}.0\n'
        f'vllm:request_success_total{{finished_reason="length",model_name="x"}} 1.0\n'
        f"process_start_time_seconds {start:e}\n"
    )


SAID = {
    "another model": ({"model": "another"}, "it serves another and not"),
    "another context": ({"max_model_len": 512}, "its context is 512 tokens and was 1024"),
    "counters": ({"metrics": counted(3)}, "went back from 11 to 4"),
    "start": ({"metrics": counted(30, 2000.0)}, "was started anew"),
}


@pytest.mark.parametrize("target", ["kserve", "existing"])
@pytest.mark.parametrize("case", SAID)
def test_what_the_server_says_of_itself_tells_it_from_another_anywhere(endpoint, vllm, case, target):
    vllm.metrics = counted(10)
    watched = Guard(endpoint.model_copy(update={"target": target}))
    watched.check()
    vllm.metrics = counted(11)
    watched.check()
    vllm.metrics = counted(10 + 2)
    watched.check()
    vllm.metrics = counted(10)
    change, said = SAID[case]
    for field, value in change.items():
        setattr(vllm, field, value)
    with pytest.raises(errors.ServerChanged, match=said if case != "counters" else "went back from 13 to 4"):
        watched.check()


def test_a_server_that_is_away_for_a_moment_is_no_change(endpoint, vllm, monkeypatch):
    watched = Guard(endpoint)
    watched.check()
    asked = []

    def models(url):
        asked.append(url)
        if len(asked) < 3:
            raise errors.EndpointUnreachable("busy", do="wait")
        return real(url)

    real = client.models
    monkeypatch.setattr(client, "models", models)
    watched.check()
    assert len(asked) == 3


def test_a_server_that_stays_away_ends_the_measurement(endpoint, vllm, monkeypatch):
    watched = Guard(endpoint)
    watched.check()
    monkeypatch.setattr(guard, "AWAY_SECONDS", 0.2)
    vllm.status = 503
    with pytest.raises(errors.EndpointUnreachable, match="503"):
        watched.check()
    with pytest.raises(errors.EndpointUnreachable, match="503"):
        Guard(endpoint).check()


def test_several_servers_of_somebody_else_are_no_change_of_one(endpoint, vllm, monkeypatch, capsys):
    turns = iter([counted(10), counted(500, 2000.0)] * 20)
    monkeypatch.setattr(client, "metrics", lambda _: next(turns))
    watched = Guard(endpoint.model_copy(update={"target": "existing"}))
    for _ in range(3):
        watched.check()
    assert "Several servers answer" in capsys.readouterr().out


# On one machine


@pytest.fixture
def here(light_vllm, tiny_model, tmp_path, monkeypatch):
    """A process of run A on this machine, as deploy_model leaves it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, RUN_A)
    select(tiny_model).write()
    serving.deploy(Selection.read(), serve_settings()).write()
    yield Endpoint.read()
    for item in processes.all_running():
        processes.end(item)


def kill(endpoint):
    [found] = [item for item in processes.all_running() if item.handle == endpoint.handle]
    os.killpg(found.pid, signal.SIGKILL)
    wait_for(lambda: not processes.alive(found), what="its end", do="", timeout=30, interval=0.05)


def test_another_process_that_took_the_port_is_not_measured_and_the_model_is_served_again(here, capsys):
    watched = Guard(here)
    watched.check()
    kill(here)
    port = here.url.rpartition(":")[2]
    given = ["--served-model-name", here.model, "--port", port, "--max-model-len", str(here.max_model_len)]
    other = subprocess.Popen([sys.executable, light_vllm.__file__, *given])
    try:
        wait_for(lambda: client.healthy(here.url), what="the other", do="", timeout=60, interval=0.1)
        with pytest.raises(errors.ServerChanged, match="has ended"):
            watched.check()
        again = serving.ensure()
    finally:
        other.kill()
        other.wait(30)
    assert again.url != here.url
    assert again.settings == here.settings
    assert again.server.pid != here.server.pid
    assert "is served again" in capsys.readouterr().out
    Guard(again).check()


def a_record_on(hardware, engine="vllm 0.0.1"):
    summary = {"engine": engine, "hardware": hardware, "purpose": "baseline"}
    return AttachedRecord("tiny", "1.0.0", "7", "0123456789abcdef", "file:///record.json", summary)


def test_what_was_measured_here_is_served_only_when_a_stage_asks(light_vllm, tiny_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, RUN_A)
    select(tiny_model).write()
    here = str(this_machine())
    for unlike in (a_record_on("NVIDIA-L40S"), a_record_on(here, "vllm 0.0.0")):
        started = serving.deploy(Selection.read(), serve_settings(), known=[unlike])
        assert client.healthy(started.url)
        serving.remove(started)
    planned = serving.deploy(Selection.read(), serve_settings(), known=[a_record_on(here)])
    planned.write()
    assert processes.all_running() == []
    assert planned.tokenizer_folder().is_dir()
    try:
        served = serving.ensure()
        assert served == Endpoint.read()
        assert partial.served(served) == partial.served(planned)
        assert client.healthy(served.url)
        Guard(served).check()
        assert serving.deploy(Selection.read(), serve_settings(), known=[a_record_on(here)]).url == served.url
    finally:
        assert len(serving.remove_deployed(serve_settings())) == 1
    assert processes.all_running() == []


def test_a_run_on_this_machine_frees_its_own_without_a_file(here, tiny_model, monkeypatch):
    storage.Path("artifacts/endpoint.json").unlink()
    monkeypatch.setenv(VARIABLE, RUN_B)
    assert serving.remove_deployed(serve_settings()) == []
    assert [item.run for item in processes.all_running()] == [RUN_A]
    monkeypatch.setenv(VARIABLE, RUN_A)
    assert serving.remove_deployed(serve_settings()) == [f"{here.handle} at {here.url} is removed"]
    assert serving.remove_deployed(serve_settings()) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(here.url.rpartition(":")[2])), timeout=10)


def test_a_deployment_that_is_taken_over_is_the_runs_that_took_it(here, monkeypatch, tiny_model):
    monkeypatch.setenv(VARIABLE, RUN_B)
    select(tiny_model).write()
    assert serving.deploy(Selection.read(), serve_settings()).url == here.url
    assert serving.remove_run(RUN_A, serve_settings()) == []
    assert len(serving.remove_run(RUN_B, serve_settings())) == 1
