"""The stand-in for Data Science Pipelines against what the real server answered, and what a user reads of each answer.

The recordings (tests/facts/pipelines) are of version 1's pipelines on Data Science Pipelines 2.16.1.
"""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path

import httpx
import pytest
import yaml

from helpers.errors import AssayError, StageFailed
from helpers.pipelines import failures, finishing, server, watching
from helpers.pipelines.definition import Pipeline
from helpers.pipelines.submitting import Submitted
from helpers.runtime.polling import wait_for
from tests.pipelines.conftest import TOKEN
from tests.pipelines.test_endings import compiled_by_elyra
from tests.plugins import harness
from tests.plugins.environments import ImageEnvironment
from tests.plugins.pipelines_api import PREFIX, PipelinesApi, serving_pipelines

FACTS = Path(__file__).parents[1] / "facts" / "pipelines"
RUNS = [path.stem for path in sorted(FACTS.glob("*.json")) if path.stem != "answers"]
ANSWERS = {item["case"]: item for item in json.loads((FACTS / "answers.json").read_text())}
# Of a use case with one evaluation, as there was when these runs were recorded.
OPS, ENGINEER, REGRESSION = (
    Pipeline(name).wanted({"USE_CASE": "baseline"}) for name in ("model-ops", "ai-engineer", "regression")
)
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# What the user is told of each refusal, in one line.
TOLD = {
    "upload under a name that exists": "Failed to create a pipeline and a pipeline version",
    "upload a version under a name that exists": "Failed to create a pipeline version",
    "upload a version to an unknown pipeline": "Failed to create a pipeline version",
    "upload something else": "unknown template format",
    "run in an unknown experiment": "Experiment 4711 not found",
    "run of an unknown version": "PipelineVersion 4711 not found",
    "unknown run": "Run 4711 not found",
    "unknown experiment": "Experiment 4711 not found",
    "unknown pipeline by name": "Namespace/Pipeline /nothing not found",
    "unknown path": "Not Found",
    "experiment under a name that exists": "The name Default already exists",
    "terminate a run that ended": "Row not found",
    "retry a run that succeeded": "Workflow must be Failed/Error to retry",
}


def recorded(name):
    content = json.loads((FACTS / f"{name}.json").read_text())
    return content.get("run", content)


def states(run):
    """What a run says of its tasks, without its own names: display name, state, states before."""
    rows = []
    for task in run["run_details"]["task_details"]:
        name = task["display_name"]
        known = name.startswith(("run-a-file", "executor", "root"))
        before = [entry["state"] for entry in task.get("state_history", ()) if entry.get("state")]
        if name.endswith("-driver"):
            before = [state for state in before if state != "RUNNING"]  # seen or not, as the seconds fall
        rows.append((name if known else "workflow", task.get("state"), tuple(before)))
    return sorted(rows, key=str)


# The stand-in answers as the server did.


@pytest.fixture
def answering(tmp_path):
    """A server that knows the pipeline, the experiment and the runs of the recorded requests."""
    with serving_pipelines(PipelinesApi(TOKEN, tmp_path / "pods")) as api:
        api.pipeline = api.upload_pipeline({"name": "remove-expired"}, compiled_by_elyra(remove_deployment="true"))
        (version,) = api.versions
        experiment = api.create_experiment({}, {"display_name": "Default"})["experiment_id"]
        started = {"experiment_id": experiment, "pipeline_version_reference": {"pipeline_version_id": version}}
        api.run_id = api.create_run({}, started)["run_id"]
        api.experiment, api.version = experiment, version
        api.wait(30)
        yield api


def asked(api, case):
    """Make a recorded request again, with this server's ids."""
    method, _, path = ANSWERS[case]["request"].partition(" ")
    ids = {"pipelines": api.pipeline["pipeline_id"], "runs": api.run_id}
    path = ID.sub(next((known for name, known in ids.items() if f"/{name}" in path), ""), path)
    body = {
        "run in an unknown experiment": run_of("4711", api.version),
        "run of an unknown version": run_of(api.experiment, "4711"),
        "experiment under a name that exists": {"display_name": "Default"},
    }.get(case)
    text = "rubbish" if case == "upload something else" else compiled_by_elyra(remove_deployment="true")
    files = {"uploadfile": ("pipeline.yaml", text)} if "/upload" in path else None
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return httpx.request(method, api.address + path, headers=headers, json=body, files=files)


def run_of(experiment, version):
    reference = {"pipeline_version_id": version}
    return {"experiment_id": experiment, "display_name": "r", "pipeline_version_reference": reference}


def shape(content):
    """The keys of an answer, and what it says, without ids."""
    if isinstance(content, dict):
        free = ("error_details", "next_page_token", "created_at", "description", "total_size")
        return {key: shape(value) for key, value in content.items() if key not in free}
    if isinstance(content, list):
        return [shape(content[0])] if content else []
    return ID.sub("ID", content) if isinstance(content, str) else content


@pytest.mark.parametrize("case", ANSWERS)
def test_a_request_is_answered_as_by_the_real_server(answering, case):
    answer = asked(answering, case)
    assert answer.status_code == ANSWERS[case]["status"]
    assert shape(answer.json()) == shape(ANSWERS[case]["body"])


@pytest.fixture
def drawn(tmp_path):
    """A server that executes commands, and what starts them there: one pipeline, its commands by stage."""
    (tmp_path / "image").mkdir()
    pods = harness.Pods(lambda name: ImageEnvironment(name, tmp_path / "image"))
    with serving_pipelines(PipelinesApi(TOKEN, tmp_path / "pods", pods)) as api:

        def start(needs="", finish=False, **commands):
            text = compiled_by_elyra(**{name: text.format(state=tmp_path) for name, text in commands.items()})
            spec, platform = yaml.safe_load_all(text)
            for executor in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
                pair = {"envVar": "KEY", "secretKey": "KEY"}
                executor["secretAsEnv"] = [{"secretName": needs, "keyToEnv": [pair]}] if needs else []
            path = tmp_path / "drawn.yaml"
            path.write_text(yaml.safe_dump_all([spec, platform]))
            if finish:
                finishing.finish(path, {}, {})
            api.upload_pipeline({"name": "drawn"}, path.read_text())
            experiment = api.create_experiment({}, {"display_name": "drawn"})["experiment_id"]
            return api.create_run({}, run_of(experiment, list(api.versions)[-1]))["run_id"]

        yield api, start
        for run in api.runs.values():
            run.stop.set()
            run.ended.wait(30)


def until(api, run_id, wanted):
    """Wait until the run says that of its tasks."""
    wait_for(
        lambda: wanted == states(api.get_run({}, None, run_id)), what="the recorded states", do="Compare", timeout=60,
        interval=0.02,
    )  # fmt: skip


def test_a_node_whose_secret_is_missing_waits_until_it_is_there(drawn):
    api, start = drawn
    run_id = start(needs="assay-stor", remove_deployment="true")
    until(api, run_id, states(recorded("waiting")))
    assert api.get_run({}, None, run_id)["state"] == recorded("waiting")["state"] == "RUNNING"
    told = 'CreateContainerConfigError: secret "assay-stor" not found'
    wait_for(lambda: api.runs[run_id].tasks[0].message == told, what="the reason", do="Look", timeout=60, interval=0.02)
    api.pods.secrets["assay-stor"] = {"KEY": "value"}
    assert api.wait(30).state == "SUCCEEDED"


def test_a_run_that_is_terminated_ends_as_the_recorded_one(drawn):
    api, start = drawn
    run_id = start(needs="assay-stor", remove_deployment="true")
    until(api, run_id, states(recorded("waiting")))
    api.terminate_run({}, None, run_id)
    assert api.wait(30).state == "FAILED"
    assert states(api.get_run({}, None, run_id)) == states(recorded("terminated"))


SIX = dict.fromkeys(OPS.stages, "true")


def test_a_run_whose_second_node_fails_ends_as_the_recorded_one(drawn):
    api, start = drawn
    run_id = start(**SIX | {"deploy_model": "exit 1"})
    api.wait(60)
    assert states(api.get_run({}, None, run_id)) == states(recorded("node-failed"))


def test_a_retried_run_goes_on_from_the_failed_node_as_the_recorded_one(drawn):
    api, start = drawn
    run_id = start(**SIX | {"log_results": "[ -e {state}/before ] || {{ touch {state}/before; exit 1; }}"})
    assert api.wait(60).state == "FAILED"
    api.retry_run({}, None, run_id)
    assert api.wait(60).state == "SUCCEEDED"
    assert states(api.get_run({}, None, run_id)) == states(recorded("succeeded-after-a-retry"))


def test_a_retry_does_not_run_the_exit_task_again(drawn, tmp_path):
    api, start = drawn
    api.pods.hurry = 1e6
    commands = {"deploy_model": "true", "measure": "exit 1", "remove_deployment": "echo x >> {state}/removed"}
    run_id = start(finish=True, **commands)
    assert api.wait(60).state == "FAILED"
    api.retry_run({}, None, run_id)
    assert api.wait(60).state == "FAILED"
    assert (tmp_path / "removed").read_text().split() == ["x"]


# What a user reads.


@pytest.mark.parametrize("case", [case for case in ANSWERS if ANSWERS[case]["status"] >= 400])
def test_a_refusal_is_one_sentence_and_no_stack(case):
    answer = ANSWERS[case]
    said = failures.message(json.dumps(answer["body"]))
    assert TOLD[case] in said
    assert len(said) < 120
    assert ".go:" not in said
    assert "\n" not in said
    runtime = server.Runtime("odh_dsp", {"api_endpoint": "http://server"})
    assert isinstance(failures.refusal(answer["status"], said, OPS.resource_name, runtime), AssayError)


def compiled_stages(pipeline):
    """The tasks of version 1's compile, by the nodes that they are of."""
    return {"run-a-file" if n == 1 else f"run-a-file-{n}": stage for n, stage in enumerate(pipeline.stages, 1)}


REMOVE = Pipeline("remove-expired")
OF = {
    "node-failed": OPS, "pod-deleted-then-retried": REGRESSION, "recurring": REMOVE, "succeeded-after-a-retry": OPS,
    "succeeded-ai-engineer": ENGINEER, "terminated": REMOVE, "waiting": REMOVE,
}  # fmt: skip


class Watching:
    """Follows a recorded run and keeps what is said."""

    def __init__(self, api, runtime, name):
        run = recorded(name)
        api.replayed[run["run_id"]] = run
        self.lines: list[str] = []
        self.runtime, self.pipeline = server.find(runtime), OF[name]
        url, stages = "https://dashboard/r", compiled_stages(self.pipeline)
        self.run = Submitted(run["run_id"], url, f"{self.pipeline.name}-1/{run['run_id']}", stages)

    def follow(self, **options):
        say = self.lines.append
        watching.follow(self.run, self.pipeline, self.runtime, say, **{"interval": 0.05, **options})

    @property
    def said(self):
        return [" ".join(line.split()) for line in self.lines]


@pytest.mark.parametrize("name", ["succeeded-ai-engineer", "succeeded-after-a-retry", "recurring"])
def test_a_run_that_succeeded_is_told_stage_by_stage(pipelines_api, runtime, name):
    watch = Watching(pipelines_api, runtime, name)
    watch.follow()
    assert sorted(watch.said) == sorted(f"{stage} succeeded" for stage in watch.pipeline.stages)


def test_a_run_that_failed_names_the_stage_and_no_page_that_is_not_there(pipelines_api, runtime):
    watch = Watching(pipelines_api, runtime, "node-failed")
    with pytest.raises(StageFailed) as failed:
        watch.follow()
    assert sorted(watch.said) == ["deploy_model failed", "ingest_model succeeded"]
    assert failed.value.what.startswith("model-ops failed in deploy_model: ")
    assert "left no message" in failed.value.what
    assert "http://" not in str(failed.value)


def test_a_run_that_failed_after_its_retry_names_the_stage_that_failed_at_last(pipelines_api, runtime):
    watch = Watching(pipelines_api, runtime, "pod-deleted-then-retried")
    with pytest.raises(StageFailed, match="regression failed in regression_gate: "):
        watch.follow()
    assert len(watch.said) == 7


def test_a_run_that_was_stopped_sends_nobody_to_a_page(pipelines_api, runtime):
    watch = Watching(pipelines_api, runtime, "terminated")
    with pytest.raises(StageFailed, match=r"failed in remove_deployment: its container never ran.*was stopped"):
        watch.follow()
    assert watch.said == ["remove_deployment failed"]


def put(cluster, *, workflows=True, pods=True):
    """Put what the project showed at the recorded moment into a cluster."""
    content = json.loads((FACTS / "waiting.json").read_text())
    found = (content["pods"] if pods else []) + (content["workflow"] if workflows else []) + content["events"]
    for item in found:
        kept = {"name", "labels", "annotations", "creationTimestamp"}
        metadata = {key: value for key, value in item["metadata"].items() if key in kept}
        kind = item.get("kind") or ("Event" if "involvedObject" in item else "Pod")
        cluster.put(item | {"kind": kind, "metadata": metadata})


@pytest.mark.parametrize(("workflows", "pods"), [(True, True), (False, True), (True, False)])
def test_a_node_that_cannot_start_says_why(pipelines_api, runtime, kubernetes_api, workflows, pods):
    kubernetes_api.rules.grant("system:serviceaccount:evaluation:pipeline-runner-dspa", LOOK, "evaluation")
    put(kubernetes_api, workflows=workflows, pods=pods)
    watch = Watching(pipelines_api, runtime, "waiting")
    reason = 'remove_deployment waiting: CreateContainerConfigError: secret "assay-stor" not found'
    thread = followed(watch)
    wait_for(lambda: reason in watch.said, what="the reason", do="Look", timeout=30, interval=0.05)
    pipelines_api.replayed[watch.run.run_id] = recorded("terminated")
    with pytest.raises(StageFailed):
        thread()
    assert watch.said == ["remove_deployment waiting", reason, "remove_deployment failed"]


LOOK = [
    {"apiGroups": [""], "resources": ["pods", "events"], "verbs": ["list"]},
    {"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["list"]},
]


def followed(watch, **options):
    """Follow in a thread; returns what waits for its end and raises what it raised."""
    raised: list[BaseException] = []

    def follow():
        try:
            watch.follow(**options)
        except BaseException as error:  # noqa: BLE001, raised again by the test
            raised.append(error)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()

    def end():
        thread.join(60)
        assert not thread.is_alive()
        if raised:
            raise raised[0]

    return end


@pytest.mark.parametrize("workflows", [True, False])
def test_a_workflow_that_was_deleted_is_noticed(pipelines_api, runtime, kubernetes_api, workflows):
    rules = LOOK if workflows else LOOK[:1]
    kubernetes_api.rules.grant("system:serviceaccount:evaluation:pipeline-runner-dspa", rules, "evaluation")
    put(kubernetes_api, workflows=workflows)
    watch = Watching(pipelines_api, runtime, "waiting")
    end = followed(watch, gone=0.2)
    wait_for(lambda: len(watch.said) == 2, what="the reason", do="Look", timeout=30, interval=0.05)
    for kind in ("Workflow", "Pod"):
        for item in kubernetes_api.all(kind):
            kubernetes_api.remove(kind, item["metadata"]["name"])
    with pytest.raises(StageFailed, match=r"Workflow of remove-expired was deleted.*submit again"):
        end()


def test_where_the_account_may_not_look_a_stage_is_waiting_and_no_more(pipelines_api, runtime, kubernetes_api):
    put(kubernetes_api)
    for kind in ("pods", "events", "workflows"):
        kubernetes_api.rules.revoke("list", kind)
    watch = Watching(pipelines_api, runtime, "waiting")
    end = followed(watch)
    wait_for(lambda: watch.said, what="a line", do="Look", timeout=30, interval=0.05)
    pipelines_api.replayed[watch.run.run_id] = recorded("recurring") | {"run_id": watch.run.run_id}
    end()
    assert watch.said == ["remove_deployment waiting", "remove_deployment succeeded"]


def test_every_recording_is_held_by_a_test():
    text = Path(__file__).read_text()
    assert {name for name in RUNS if f'"{name}"' not in text} == set()
    assert set(OF) == set(RUNS)
    assert PREFIX in ANSWERS["health"]["request"]
