"""What a run deployed is gone when the run ends, however it ends: the exit handler in the harness, and retries.

The pipelines are drawn of shell commands in the form in which Elyra compiles notebooks, and completed as `make submit`
does it. A file stands for the server.
"""

from __future__ import annotations

import threading

import pytest
import yaml

from helpers.pipelines import finishing
from helpers.runtime.polling import wait_for
from tests.plugins import harness
from tests.plugins.environments import ImageEnvironment

DEPLOY, REMOVE = "touch {state}/server", "echo ${{ASSAY_EXIT_TASK:-ordinary}} >> {state}/removed; rm -f {state}/server"
LONG = "touch {state}/measuring; sleep 120"


def compiled_by_elyra(**commands: str) -> str:
    """A pipeline of commands, one after the other, as Elyra compiles it: the names are the notebooks'."""
    tasks, components, executors, kubernetes = {}, {}, {}, {}
    before: list[str] = []
    for number, (name, command) in enumerate(commands.items(), 1):
        key = "run-a-file" if number == 1 else f"run-a-file-{number}"
        tasks[key] = {
            "taskInfo": {"name": name}, "componentRef": {"name": f"comp-{key}"}, "dependentTasks": before[-1:],
            "inputs": {"parameters": {"model": {"componentInputParameter": "MODEL"}}}, "cachingOptions": {},
        }  # fmt: skip
        inputs = {"parameters": {"model": {"parameterType": "STRING"}}}
        components[f"comp-{key}"] = {"executorLabel": f"exec-{key}", "inputDefinitions": inputs}
        args = [f'MODEL="$0"\n{command}', "{{$.inputs.parameters['model']}}"]
        container = {"image": "quay.io/assay/stage:0.1.0", "command": ["sh", "-c"], "args": args}
        executors[f"exec-{key}"] = {"container": container}
        metadata = {
            "annotations": {"elyra/node-file-name": f"notebooks/{name}.ipynb"}, "labels": {"elyra/node-name": name},
        }  # fmt: skip
        kubernetes[f"exec-{key}"] = {"podMetadata": metadata}
        before.append(key)
    declared = {"MODEL": {"parameterType": "STRING", "defaultValue": "granite"}}
    spec = {
        "pipelineInfo": {"name": "drawn", "description": "drawn"}, "components": components,
        "root": {"dag": {"tasks": tasks}, "inputDefinitions": {"parameters": declared}},
        "deploymentSpec": {"executors": executors},
    }  # fmt: skip
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": kubernetes}}}}
    return yaml.safe_dump_all([spec, platform])


def drawn(folder, **commands):
    """Compile and complete a pipeline of commands; `{state}` in them is the folder."""
    path = folder / "drawn.yaml"
    path.write_text(compiled_by_elyra(**{name: text.format(state=folder) for name, text in commands.items()}))
    finishing.finish(path, {}, {})
    return path.read_text()


@pytest.fixture
def pods(tmp_path):
    """Pods of an image that has a shell and nothing else."""
    (tmp_path / "image").mkdir()
    return harness.Pods(lambda name: ImageEnvironment(name, tmp_path / "image"))


def by_name(tasks):
    return {task.name: task for task in tasks}


def removed(folder):
    return (folder / "removed").read_text().split() if (folder / "removed").exists() else []


def run(folder, pods, stop=None, meanwhile=None, **commands):
    """Execute a pipeline; `meanwhile` is called with its tasks once it measures."""
    compiled = harness.Compiled(drawn(folder, **commands))
    tasks = compiled.tasks()
    arguments = (compiled, pods, folder / "run", {}, tasks, stop)
    thread = threading.Thread(target=harness.execute, args=arguments, daemon=True)
    thread.start()
    if meanwhile:
        wait_for((folder / "measuring").exists, what="the measurement", do="Look", timeout=60, interval=0.05)
        meanwhile(by_name(tasks))
    thread.join(120)
    assert not thread.is_alive()
    return by_name(tasks)


def test_a_run_that_succeeds_removes_in_its_last_node_and_once_more_at_its_end(pods, tmp_path):
    tasks = run(tmp_path, pods, deploy_model=DEPLOY, measure="true", remove_deployment=REMOVE, compare="true")
    assert {task.state for task in tasks.values()} == {"SUCCEEDED"}
    assert removed(tmp_path) == ["ordinary", "true"]


def test_a_run_that_fails_leaves_nothing(pods, tmp_path):
    tasks = run(tmp_path, pods, deploy_model=DEPLOY, measure="exit 7", remove_deployment=REMOVE)
    assert (tasks["measure"].state, tasks["remove_deployment"].state) == ("FAILED", "SKIPPED")
    assert len(tasks["measure"].attempts) == 3
    assert tasks["remove_deployment (exit)"].state == "SUCCEEDED"
    assert removed(tmp_path) == ["true"]
    assert not (tmp_path / "server").exists()


def test_a_run_whose_pod_is_killed_until_no_retry_is_left_leaves_nothing(pods, tmp_path):
    again = f"if [ -e {{state}}/measuring ]; then exit 1; fi; {LONG}"
    killed = run(
        tmp_path, pods, meanwhile=lambda tasks: harness.kill(tasks["measure"]),
        deploy_model=DEPLOY, measure=again, remove_deployment=REMOVE,
    )  # fmt: skip
    assert killed["measure"].state == "FAILED"
    assert removed(tmp_path) == ["true"]
    assert not (tmp_path / "server").exists()


def test_a_pod_that_is_killed_once_is_tried_again_and_nothing_is_lost(pods, tmp_path):
    again = f"if [ -e {{state}}/measuring ]; then exit 0; fi; {LONG}"
    tasks = run(
        tmp_path, pods, meanwhile=lambda tasks: harness.kill(tasks["measure"]),
        deploy_model=DEPLOY, measure=again, remove_deployment=REMOVE,
    )  # fmt: skip
    assert {task.state for task in tasks.values()} == {"SUCCEEDED"}
    assert [attempt.history[-1] for attempt in tasks["measure"].attempts] == ["FAILED", "SUCCEEDED"]
    assert tasks["deploy_model"].attempts[1:] == []


def test_a_run_that_is_terminated_leaves_nothing(pods, tmp_path):
    stop = harness.Stop()
    tasks = run(
        tmp_path, pods, stop, lambda tasks: stop.set(),
        deploy_model=DEPLOY, measure=LONG, remove_deployment=REMOVE, compare="true",
    )  # fmt: skip
    assert (tasks["measure"].state, len(tasks["measure"].attempts)) == ("FAILED", 1)
    assert tasks["compare"].attempts == []
    assert removed(tmp_path) == ["true"]
    assert not (tmp_path / "server").exists()


def test_parameters_reach_the_tasks_in_the_handler_and_the_one_at_the_end(pods, tmp_path):
    say = "echo $MODEL >> {state}/said"
    compiled = harness.Compiled(drawn(tmp_path, deploy_model=say, remove_deployment=say))
    harness.execute(compiled, pods, tmp_path / "run", {"MODEL": "other"})
    assert (tmp_path / "said").read_text().split() == ["other"] * 3


def test_what_deploys_nothing_has_no_exit_task_and_is_tried_again(tmp_path):
    tasks = harness.Compiled(drawn(tmp_path, remove_deployment="true")).tasks()
    assert [(task.key, task.at_exit, task.retries) for task in tasks] == [("run-a-file", False, 2)]
