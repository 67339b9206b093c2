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
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
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
class Attempt:
    """One pod of a node: the states that it went through, and when."""

    history: list[str] = field(default_factory=lambda: ["PENDING"])
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: datetime | None = None


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
    at_exit: bool = False  # runs when all others have ended, however they did
    inputs: Mapping[str, str] = field(default_factory=dict)  # its parameters, by the pipeline's that they take
    retries: int = 0
    backoff: tuple[float, float] = (0, 1)  # seconds before the first retry, and the factor of each further wait
    attempts: list[Attempt] = field(default_factory=list)
    mark: str = ""  # the TMPDIR of its present pod


# A terminated run ends its pods and starts none but the exit task's.
Stop = threading.Event


@dataclass
class Pods:
    """Where pods run: images, Secrets by name, and the variables that the platform puts into each pod."""

    image: Callable[[str], ImageEnvironment]
    secrets: Secrets = field(default_factory=dict)
    platform: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 900
    hurry: float = 200  # how much faster than on a cluster the wait before a retry goes by


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
        """All tasks, each after those that it depends on; what the exit handler runs comes last."""
        return list(self._tasks(self.spec["root"]["dag"], {}, {}).values())

    def _tasks(self, dag: Mapping[str, Any], outer: Mapping[str, str], done: dict[str, Task]) -> dict[str, Task]:
        """Put the tasks of a graph and of the graphs in it into `done`; `outer` are the parameters that it is given."""
        found = dag["tasks"]
        here: set[str] = set()

        def add(key: str) -> None:
            if key in here:
                return
            here.add(key)
            task = found[key]
            needs = tuple(task.get("dependentTasks", ()))
            for other in needs:
                add(other)
            given = task.get("inputs", {}).get("parameters", {})
            inputs = {name: item["componentInputParameter"] for name, item in given.items()}
            inputs = {name: outer.get(source, source) for name, source in inputs.items()}
            component = self.spec["components"][task["componentRef"]["name"]]
            if "dag" in component:
                self._tasks(component["dag"], inputs, done)
                return
            always = task.get("triggerPolicy", {}).get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED"
            # The real server would run it after each task that it names.
            assert not always or [key for key in needs if "dag" in self._component(found[key])] == list(needs)
            policy = task.get("retryPolicy", {})
            backoff = float(policy.get("backoffDuration", "0s").removesuffix("s")), policy.get("backoffFactor", 1)
            done[key] = Task(
                task["taskInfo"]["name"], key, component["executorLabel"], () if always else needs, at_exit=always,
                inputs=inputs, retries=policy.get("maxRetryCount", 0), backoff=backoff,
            )  # fmt: skip

        for key in found:
            add(key)
        return done

    def _component(self, task: Mapping[str, Any]) -> dict[str, Any]:
        return self.spec["components"][task["componentRef"]["name"]]

    def arguments(self, task: Task, given: Mapping[str, Any]) -> list[str]:
        """The container's arguments; a parameter without a value stays the placeholder that it is, as on a cluster."""
        declared = self.spec["root"].get("inputDefinitions", {}).get("parameters", {})
        values = {name: item["defaultValue"] for name, item in declared.items() if "defaultValue" in item} | dict(given)

        def value(match: re.Match[str]) -> str:
            source = task.inputs.get(match[1])
            return as_text(values[source]) if source in values else match.group()

        return [PLACEHOLDER.sub(value, part) for part in self.containers()[task.executor]["args"]]


def as_text(value: Any) -> str:
    """Write a value as the launcher does: numbers are doubles there."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.12g}" if isinstance(value, int | float) else str(value)


def execute(
    compiled: Compiled, pods: Pods, folder: Path, given: Mapping[str, Any] = {}, tasks: list[Task] | None = None,
    stop: Stop | None = None,
) -> list[Task]:  # fmt: skip
    """Run every task whose needs have succeeded, again where its policy says so; at last the exit handler's.

    Returns all with their states and logs; what has succeeded before is left alone. The folder's name is the run's.
    Several runs may go at once, each in a folder of its own.
    """
    tasks = compiled.tasks() if tasks is None else tasks
    by_key = {task.key: task for task in tasks}
    for task in tasks:
        ending = Stop() if task.at_exit else stop or Stop()
        if task.state == "SUCCEEDED" or ending.is_set():
            continue
        if any(by_key[key].state != "SUCCEEDED" for key in task.needs):
            task.state, task.message = "SKIPPED", "a task before it did not succeed"
            continue
        _attempt(task, compiled, pods, folder, given, ending)
    return tasks


def _attempt(task: Task, compiled: Compiled, pods: Pods, folder: Path, given: Mapping[str, Any], stop: Stop) -> None:
    for number in range(1 + task.retries):
        place = folder / (f"{task.key}-{len(task.attempts)}" if task.attempts else task.key)
        task.state = "RUNNING"
        task.attempts.append(Attempt())
        _run(task, compiled, pods, place, given, stop)
        task.attempts[-1].history.append(task.state)
        task.attempts[-1].ended = datetime.now(UTC)
        if task.state == "SUCCEEDED" or number == task.retries:
            return
        task.state = "RUNNING"  # until its policy is at an end
        seconds, factor = task.backoff
        if stop.wait(seconds * factor**number / pods.hurry):
            task.state = "FAILED"
            return


def kill(task: Task) -> None:
    """End a node's pod, as an eviction or the kernel would; its exit code is read where it was started."""
    _kill_all(task.mark)


def _run(task: Task, compiled: Compiled, pods: Pods, folder: Path, given: Mapping[str, Any], stop: Stop) -> None:
    task.folder, task.log = folder / "src", folder / "log"
    for part in ("src", "bin"):
        (folder / part).mkdir(parents=True)
    (folder / "bin" / "sh").symlink_to("/bin/bash")  # as in a UBI image; Debian's sh does not know [[
    container = compiled.containers()[task.executor]
    image = pods.image(image_name(container["image"]))
    # A pod's /tmp: its name is short enough for the sockets that programs make in there.
    with tempfile.TemporaryDirectory(prefix="pod-") as temporary:
        task.mark = temporary
        if not (environment := _started(task, compiled, pods, image, folder, stop)):
            task.state = "FAILED"
            return
        environment |= {"TMPDIR": temporary, "ELYRA_WRITABLE_CONTAINER_DIR": temporary}
        environment["ASSAY_TERMINATION_LOG"] = str(folder / "termination-log")
        # The image lies in a folder of this machine and not at the root of a container.
        arguments = [part.replace(f"{APP_ROOT}/bin/", f"{image.bin}/") for part in compiled.arguments(task, given)]
        task.attempts[-1].history.append("RUNNING")
        command = ["/bin/bash", *container["command"][1:], *arguments]
        code = _ended(command, environment, task.folder, task.log, pods.timeout, stop)
    task.state = "FAILED" if code else "SUCCEEDED"
    said = folder / "termination-log"
    task.message = said.read_text() if said.exists() else f"exit code {code}" if code else ""


def _started(
    task: Task, compiled: Compiled, pods: Pods, image: ImageEnvironment, folder: Path, stop: Stop
) -> dict[str, str]:
    """Return what the container starts with; without a Secret it waits for ever, or until somebody ends the run."""
    while True:
        try:
            found = _environment(task, compiled, pods, image, folder)
        except LookupError as error:
            task.message = f"CreateContainerConfigError: {error.args[0]}"
            if stop.wait(0.05):
                return {}
        else:
            task.message = ""
            return found


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
        name, optional = item["secretName"], item.get("optional", False)
        if name not in secrets and not optional:
            raise LookupError(f'secret "{name}" not found')
        for pair in item["keyToEnv"]:
            if pair["secretKey"] in secrets.get(name, {}):
                yield pair["envVar"], secrets[name][pair["secretKey"]]
            elif not optional:  # of the Secret and of the key
                raise LookupError(f"couldn't find key {pair['secretKey']} in Secret {name}")


def _ended(
    command: list[str], environment: Mapping[str, str], folder: Path, log: Path, timeout: float, stop: Stop
) -> int:
    """Run a container's command to its end; whatever it has started ends with it, as in a pod."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        # Each line of the command is a shell of its own, so only the last one's exit code counts.
        with _stopping(stop, environment["TMPDIR"]):
            return process.wait(timeout)
    finally:
        _end_all(environment["TMPDIR"])
        process.wait(30)


@contextlib.contextmanager
def _stopping(stop: Stop, mark: str) -> Iterator[None]:
    """End the pod when the run is stopped."""
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            if stop.wait(0.05):
                _kill_all(mark)
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def gone(pid: int) -> bool:
    """Return whether a process has ended."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def _end_all(mark: str) -> None:
    """End every process of a pod and see it gone."""
    psutil.wait_procs(_kill_all(mark), timeout=10)


def _kill_all(mark: str) -> list[psutil.Process]:
    """Kill every process of a pod, known by its TMPDIR: kernels and servers have sessions of their own."""
    killed = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("TMPDIR") == mark:
                process.kill()
                killed.append(process)
    return killed
