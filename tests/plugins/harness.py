"""Executes a compiled pipeline as Data Science Pipelines would: its own container commands, one pod after the other.

A pod is an empty folder with its image's environment, the variables that the file and its Secrets set, and nothing of
this machine but loopback: package indexes and proxies lead nowhere. What it cannot show: images being pulled, limits
being enforced, nodes being full.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.plugins.environments import APP_ROOT, ImageEnvironment

Secrets = Mapping[str, Mapping[str, str]]
NOWHERE = "http://127.0.0.1:9"  # the port of `discard`, where nobody listens
OFFLINE = {
    "PIP_NO_INDEX": "1", "PIP_INDEX_URL": NOWHERE, "UV_OFFLINE": "1", "NO_PROXY": "127.0.0.1,localhost",
    "HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE, "http_proxy": NOWHERE, "https_proxy": NOWHERE,
    "no_proxy": "127.0.0.1,localhost",
}  # fmt: skip
PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.parameters\['(\w+)'\]\}\}")


@dataclass
class Task:
    """One node of the pipeline and what became of it."""

    name: str
    key: str
    executor: str
    needs: tuple[str, ...]
    state: str = "PENDING"
    message: str = ""
    log: Path | None = None
    folder: Path | None = None


@dataclass
class Pods:
    """Where pods run: images, Secrets by name, and the variables that the platform puts into each pod."""

    image: Callable[[str], ImageEnvironment]
    secrets: Secrets = field(default_factory=dict)
    platform: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 900


def in_cluster(kubeconfig: Path) -> dict[str, str]:
    """Return what tells a pod that it is one, and where its account gets in."""
    return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBECONFIG": str(kubeconfig)}


class Compiled:
    """A compiled pipeline: the specification and what it asks of Kubernetes."""

    def __init__(self, text: str) -> None:
        documents = list(yaml.safe_load_all(text))
        self.spec: dict[str, Any] = documents[0]
        self.kubernetes: dict[str, Any] = documents[1]["platforms"]["kubernetes"] if len(documents) > 1 else {}

    @property
    def name(self) -> str:
        return self.spec["pipelineInfo"]["name"]

    def containers(self) -> dict[str, dict[str, Any]]:
        return {key: item["container"] for key, item in self.spec["deploymentSpec"]["executors"].items()}

    def platform(self, executor: str) -> dict[str, Any]:
        return self.kubernetes.get("deploymentSpec", {}).get("executors", {}).get(executor, {})

    def tasks(self) -> list[Task]:
        """All tasks, each after those that it depends on."""
        found = self.spec["root"]["dag"]["tasks"]
        done: dict[str, Task] = {}

        def add(key: str) -> None:
            if key in done:
                return
            needs = tuple(found[key].get("dependentTasks", ()))
            for other in needs:
                add(other)
            executor = self.spec["components"][found[key]["componentRef"]["name"]]["executorLabel"]
            done[key] = Task(found[key]["taskInfo"]["name"], key, executor, needs)

        for key in found:
            add(key)
        return list(done.values())

    def arguments(self, task: Task, given: Mapping[str, Any]) -> list[str]:
        """The container's arguments; a parameter without a value stays the placeholder that it is, as on a cluster."""
        declared = self.spec["root"].get("inputDefinitions", {}).get("parameters", {})
        values = {name: item["defaultValue"] for name, item in declared.items() if "defaultValue" in item} | dict(given)
        inputs = self.spec["root"]["dag"]["tasks"][task.key].get("inputs", {}).get("parameters", {})
        found = {name: item["componentInputParameter"] for name, item in inputs.items()}

        def value(match: re.Match[str]) -> str:
            source = found.get(match[1])
            return as_text(values[source]) if source in values else match.group()

        return [PLACEHOLDER.sub(value, part) for part in self.containers()[task.executor]["args"]]


def as_text(value: Any) -> str:
    """Write a value as the launcher does: numbers are doubles there."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.12g}" if isinstance(value, int | float) else str(value)


def execute(
    compiled: Compiled, pods: Pods, folder: Path, given: Mapping[str, Any] = {}, tasks: list[Task] | None = None
) -> list[Task]:
    """Run every task whose needs have succeeded; return all with their states and logs. The folder's name is the run's.

    Several may run at once, each in a folder of its own.
    """
    tasks = compiled.tasks() if tasks is None else tasks
    by_key = {task.key: task for task in tasks}
    for task in tasks:
        if any(by_key[key].state != "SUCCEEDED" for key in task.needs):
            task.state, task.message = "SKIPPED", "a task before it did not succeed"
            continue
        _run(task, compiled, pods, folder / task.key, given)
    return tasks


def _run(task: Task, compiled: Compiled, pods: Pods, folder: Path, given: Mapping[str, Any]) -> None:
    task.folder, task.log = folder / "src", folder / "log"
    for part in ("src", "bin"):
        (folder / part).mkdir(parents=True)
    (folder / "bin" / "sh").symlink_to("/bin/bash")  # as in a UBI image; Debian's sh does not know [[
    container = compiled.containers()[task.executor]
    image = pods.image(image_name(container["image"]))
    # A pod's /tmp: its name is short enough for the sockets that programs make in there.
    with tempfile.TemporaryDirectory(prefix="pod-") as temporary:
        try:
            environment = _environment(task, compiled, pods, image, folder)
        except LookupError as error:
            task.state, task.message = "FAILED", f"CreateContainerConfigError: {error.args[0]}"
            task.log.write_text(task.message)
            return
        environment |= {"TMPDIR": temporary, "ELYRA_WRITABLE_CONTAINER_DIR": temporary}
        environment["ASSAY_TERMINATION_LOG"] = str(folder / "termination-log")
        # The image lies in a folder of this machine and not at the root of a container.
        arguments = [part.replace(f"{APP_ROOT}/bin/", f"{image.bin}/") for part in compiled.arguments(task, given)]
        task.state = "RUNNING"
        command = ["/bin/bash", *container["command"][1:], *arguments]
        code = _ended(command, environment, task.folder, task.log, pods.timeout)
    task.state = "FAILED" if code else "SUCCEEDED"
    said = folder / "termination-log"
    task.message = said.read_text() if said.exists() else f"exit code {code}" if code else ""


def image_name(reference: str) -> str:
    """Return the last word of an image's reference without its tag."""
    return reference.partition("@")[0].rpartition("/")[2].partition(":")[0]


def _environment(task: Task, compiled: Compiled, pods: Pods, image: ImageEnvironment, folder: Path) -> dict[str, str]:
    """What a container starts with, in Kubernetes' order. Raises LookupError for a Secret or key that is not there."""
    found = image.environment_in(folder / "src")
    found |= {"PATH": f"{folder / 'bin'}:{found['PATH']}", **OFFLINE, **pods.platform}
    run = folder.parent.name  # what Argo puts in for the Workflow's uid
    variables = compiled.containers()[task.executor].get("env", ())
    found |= {item["name"]: str(item["value"]).replace("{{workflow.uid}}", run) for item in variables}
    return found | dict(_secret_variables(compiled.platform(task.executor), pods.secrets))


def _secret_variables(platform: Mapping[str, Any], secrets: Secrets) -> Iterator[tuple[str, str]]:
    for item in platform.get("secretAsEnv", ()):
        name = item["secretName"]
        if name not in secrets:
            raise LookupError(f'secret "{name}" not found')
        for pair in item["keyToEnv"]:
            if pair["secretKey"] not in secrets[name]:
                raise LookupError(f"couldn't find key {pair['secretKey']} in Secret {name}")
            yield pair["envVar"], secrets[name][pair["secretKey"]]


def _ended(command: list[str], environment: Mapping[str, str], folder: Path, log: Path, timeout: float) -> int:
    """Run a container's command to its end; whatever it has started ends with it, as in a pod."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        # Each line of the command is a shell of its own, so only the last one's exit code counts.
        return process.wait(timeout)
    finally:
        _end_all(environment["TMPDIR"])
        process.wait(30)


def gone(pid: int) -> bool:
    """Return whether a process has ended."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def _end_all(mark: str) -> None:
    """End every process of a pod, known by its TMPDIR: kernels and servers have sessions of their own."""
    killed = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("TMPDIR") == mark:
                process.kill()
                killed.append(process)
    psutil.wait_procs(killed, timeout=10)
