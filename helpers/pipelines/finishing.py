"""What Elyra cannot express, added to what it compiles: retries, a task for the end, an optional Secret, the origin."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from helpers.pipelines.outputs import DEFAULT
from helpers.pipelines.pod.files import EXIT_TASK
from helpers.pipelines.pod.reasons import RETRIES
from helpers.runtime import keys
from helpers.runtime.environment import MLFLOW_TOKEN, NOTIFY_URLS
from helpers.serving.client import KEY, SECRET

# A fault of the surroundings, such as a store that is away, has mostly passed after a minute or three.
RETRY = {"maxRetryCount": 2, "backoffDuration": "60s", "backoffFactor": 2.0, "backoffMaxDuration": "3600s"}
DEPLOY, REMOVE = "deploy_model", "remove_deployment"
ASKING = {"registry_lookup", DEPLOY, *DEFAULT}  # send requests to an endpoint
TELLING = {  # Secret: the stages that use it, and its keys
    "assay-mlflow": ({"log_results"}, ("MLFLOW_TRACKING_URI", MLFLOW_TOKEN, "MLFLOW_WORKSPACE")),
    "assay-notify": ({"log_results", "compare_models", "regression_gate"}, (NOTIFY_URLS,)),
}
HANDLER, EXIT = "exit-handler-1", "remove-at-exit"  # tasks of the root
TENTH = re.compile(r'"\$(\d{2,})"')  # Elyra's "$10" is, for a shell, the second value and a nought


def finish(path: Path, variables: Mapping[str, str], given: Mapping[str, str]) -> None:
    """Complete a file that Elyra compiled with the values `given`; `variables` are set in every container."""
    text = path.read_text()
    comments = [line for line in text.splitlines() if line.startswith("#")]
    spec, platform = yaml.safe_load_all(text)
    kubernetes = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    if given.get("TARGET") == "existing":
        _give_the_key(kubernetes)
    _tell_the_role(kubernetes)
    _let_them_tell(kubernetes)
    _handle_the_end(spec, kubernetes)
    variables = {RETRIES: str(RETRY["maxRetryCount"]), **variables}
    for executor in spec["deploymentSpec"]["executors"].values():
        executor["container"]["args"] = [TENTH.sub(r'"${\1}"', text) for text in executor["container"]["args"]]
        executor["container"].setdefault("env", []).extend({"name": k, "value": v} for k, v in variables.items())
    path.write_text("\n".join([*comments, yaml.safe_dump_all([spec, platform], sort_keys=True, allow_unicode=True)]))


def stages(path: Path) -> dict[str, str]:
    """Return the node's name of every task in a compiled file, in the order in which they run.

    A task's own name only counts nodes, in an order of Elyra's.
    """
    spec, platform = yaml.safe_load_all(path.read_text())
    kubernetes = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    tasks = spec["root"]["dag"]["tasks"]
    inner = spec["components"][f"comp-{HANDLER}"]["dag"]["tasks"] if HANDLER in tasks else tasks
    found = {key: _label(spec, kubernetes, inner[key]) for key in _in_order(inner)}
    return found | ({EXIT: f"{_label(spec, kubernetes, tasks[EXIT])} (exit)"} if EXIT in tasks else {})


def _label(spec: Mapping[str, Any], kubernetes: Mapping[str, Any], task: Mapping[str, Any]) -> str:
    return str(kubernetes[_executor(spec, task)]["podMetadata"]["labels"]["elyra/node-name"])


def _executor(spec: Mapping[str, Any], task: Mapping[str, Any]) -> str:
    return str(spec["components"][task["componentRef"]["name"]]["executorLabel"])


def _in_order(tasks: Mapping[str, Any]) -> list[str]:
    """Return the tasks' names, each after those that it depends on."""
    done: list[str] = []

    def add(key: str) -> None:
        for other in tasks[key].get("dependentTasks", ()):
            add(other)
        if key not in done:
            done.append(key)

    for key in tasks:
        add(key)
    return done


def _handle_the_end(spec: dict[str, Any], kubernetes: dict[str, Any]) -> None:
    """Retry every task; where something is deployed, run what removes it once more however the run ends.

    All tasks move into one component, because a trigger policy that names several tasks runs after each of them. The
    ordinary node stays: the server does not run an exit task again that had succeeded before somebody retried the run.
    """
    root = spec["root"]
    tasks = root["dag"]["tasks"]
    for task in tasks.values():
        task["retryPolicy"] = dict(RETRY)
    notebooks = {_notebook(kubernetes[_executor(spec, task)]): task for task in tasks.values()}
    if DEPLOY not in notebooks or REMOVE not in notebooks:
        return
    removing = notebooks[REMOVE]
    label = _executor(spec, removing)
    component, executor = f"comp-{EXIT}", f"exec-{EXIT}"
    declared = root.get("inputDefinitions", {}).get("parameters", {})
    spec["components"][component] = copy.deepcopy(spec["components"][removing["componentRef"]["name"]])
    spec["components"][component]["executorLabel"] = executor
    spec["components"][f"comp-{HANDLER}"] = {
        "dag": {"tasks": tasks},
        "inputDefinitions": {"parameters": {n: {"parameterType": i["parameterType"]} for n, i in declared.items()}},
    }
    executors = spec["deploymentSpec"]["executors"]
    executors[executor] = copy.deepcopy(executors[label])
    executors[executor]["container"].setdefault("env", []).append({"name": EXIT_TASK, "value": "true"})
    kubernetes[executor] = copy.deepcopy(kubernetes[label])
    at_exit = {key: value for key, value in copy.deepcopy(removing).items() if key != "dependentTasks"}
    at_exit |= {
        "componentRef": {"name": component},
        "dependentTasks": [HANDLER],
        "taskInfo": {"name": f"{removing['taskInfo']['name']} (exit)"},
        "triggerPolicy": {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"},
    }
    handler = {
        "componentRef": {"name": f"comp-{HANDLER}"},
        "inputs": {"parameters": {name: {"componentInputParameter": name} for name in declared}},
        "taskInfo": {"name": HANDLER},
    }
    root["dag"]["tasks"] = {HANDLER: handler, EXIT: at_exit}


def _give_the_key(kubernetes: Mapping[str, Any]) -> None:
    """Let the nodes that ask an endpoint start with its key, and without one where the Secret is not there.

    Elyra cannot say that a Secret is optional, and a node would wait for one that is missing for ever.
    """
    secret = {"secretName": SECRET, "optional": True, "keyToEnv": [{"secretKey": KEY, "envVar": KEY}]}
    for executor in kubernetes.values():
        if _notebook(executor) in ASKING:
            executor.setdefault("secretAsEnv", []).append(copy.deepcopy(secret))


def _tell_the_role(kubernetes: Mapping[str, Any]) -> None:
    """Let the nodes that get ModelOps' private key know whose project they run in, where its administrator says it."""
    pair = {"secretKey": keys.PROJECT, "envVar": keys.PROJECT}
    for executor in kubernetes.values():
        secrets = executor.get("secretAsEnv", [])
        if any(each["envVar"] == keys.MODEL_OPS.private for secret in secrets for each in secret["keyToEnv"]):
            secrets.append({"secretName": keys.MODEL_OPS.secret, "optional": True, "keyToEnv": [pair]})


def _let_them_tell(kubernetes: Mapping[str, Any]) -> None:
    """Give the nodes that tell MLflow or a chat channel what opens those, where the Secrets are there."""
    for executor in kubernetes.values():
        for secret, (stages, names) in TELLING.items():
            if _notebook(executor) in stages:
                given = [{"secretKey": name, "envVar": name} for name in names]
                executor.setdefault("secretAsEnv", []).append(
                    {"secretName": secret, "optional": True, "keyToEnv": given}
                )


def _notebook(platform: Mapping[str, Any]) -> str:
    return PurePosixPath(platform["podMetadata"]["annotations"]["elyra/node-file-name"]).stem
