"""What the project's Kubernetes says of a pipeline's Secrets and of a run, as far as this account may look.

Pods and events belong to Data Science Pipelines' runs in the account of a workbench too; a Secret mostly does not.
Where the account may not look, or where there is no cluster, nothing is known, and nothing is refused for that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from helpers import cluster
from helpers.artifacts.run import label
from helpers.errors import AssayError, ClusterUnreachable, InvalidInput
from helpers.pipelines.definition import Pipeline
from helpers.pipelines.server import Runtime
from helpers.serving.kserve.names import RUN

Object = dict[str, Any]
SECONDS = 5  # that a look may take
SERVER = "ds-pipeline-dspa"  # the Service of the pipeline server, as OpenShift AI names it
STARTING = ("ContainerCreating", "PodInitializing")
NODE_NAME = "workflows.argoproj.io/node-name"  # WORKFLOW.root.TASK.executor
EXIT_CODE = re.compile(r"^main: (Error|OOMKilled) \(exit code \d+\)(: )?")


def namespace(runtime: Runtime) -> str:
    """Return the runtime's project where its configuration says so, "" where it is the account's own."""
    host = urlsplit(runtime.api_endpoint).hostname or ""
    inside = re.search(r"\.([a-z0-9-]+)\.svc(\.|$)", host)
    return str(runtime.metadata.get("user_namespace") or (inside[1] if inside else ""))


def secrets_of(pipeline: Pipeline, runtime: Runtime) -> dict[str, dict[str, str]]:
    """Return the Secrets that the nodes need, each with its keys and the first stage that needs each."""
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")  # as Elyra names them
    wanted = {str(runtime.metadata["cos_secret"]): dict.fromkeys(keys, "every node")}
    for node, stage in zip(pipeline.nodes, pipeline.stages, strict=True):
        for secret in node["kubernetes_secrets"]:
            wanted.setdefault(secret["name"], {}).setdefault(secret["key"], stage)
    return wanted


def check_secrets(wanted: Mapping[str, Mapping[str, str]], runtime: Runtime) -> None:
    """Refuse a run whose nodes could not start, because a Secret or a key of it is missing. Raises InvalidInput."""
    faults: list[str] = []
    try:
        place = cluster.connect(namespace(runtime), timeout=SECONDS)
        if place.get("Service", SERVER) is None:  # another cluster or project than the runtime's
            return
        for name, keys in wanted.items():
            secret = place.get("Secret", name)
            held = (secret or {}).get("data") or {}
            missing = {key: stage for key, stage in keys.items() if key not in held}
            if secret is None:
                faults.append(f"there is no Secret {name}, which {_first(keys)} needs")
            elif missing:
                faults.append(f"the Secret {name} has no {', '.join(missing)}, which {_first(missing)} needs")
    except AssayError:  # it may not look, or nothing answers
        pass
    if faults:
        raise InvalidInput(
            f"A node would wait for ever: {'; '.join(faults)}",
            do="Create what is missing (runtime-images/openshift/project/README.md says how), then submit again",
        )


def _first(keys: Mapping[str, str]) -> str:
    return next(iter(keys.values()))


class View:
    """A run as the project shows it. Nothing here raises: what cannot be seen is not known."""

    def __init__(self, runtime: Runtime, run_id: str, tasks: Mapping[str, str]) -> None:
        self.run_id, self.tasks = run_id, tasks
        self._hidden: set[str] = set()
        self._seen = False
        try:
            self._cluster: cluster.Cluster | None = cluster.connect(namespace(runtime), timeout=SECONDS)
        except AssayError:
            self._cluster = None

    def waiting(self) -> dict[str, str]:
        """Return why each task that has not started waits, where something says so."""
        found = {task: node["message"] for task, node in self._nodes("Pending") if node.get("message")}
        for pod in self._list("Pod", f"pipeline/runid={self.run_id}") or ():
            task = self._task(pod["metadata"].get("annotations", {}).get(NODE_NAME, ""))
            if task and pod["status"].get("phase") == "Pending" and (reason := self._reason(pod)):
                found[task] = reason
        return {task: _one_line(reason) for task, reason in found.items()}

    def last_error(self, task: str) -> str:
        """Return what a failed task's container said last, or what the Workflow says of it; "" where nothing does."""
        ended = [
            state
            for pod in self._list("Pod", f"pipeline/runid={self.run_id}") or ()
            if self._task(pod["metadata"].get("annotations", {}).get(NODE_NAME, "")) == task
            for state in _terminated(pod)
        ]
        for state in sorted(ended, key=lambda state: state.get("finishedAt") or "", reverse=True):
            if state.get("message"):
                return _one_line(state["message"])
            if state.get("reason") == "OOMKilled":
                return "its container was killed because it needed more memory than its limit"
        nodes = [node for key, node in self._nodes("Failed", "Error") if key == task and node.get("message")]
        for node in sorted(nodes, key=lambda node: node.get("finishedAt") or "", reverse=True):
            if node["message"].startswith("main: OOMKilled"):
                return "its container was killed because it needed more memory than its limit"
            if said := EXIT_CODE.sub("", node["message"]):
                return _one_line(said)
        return ""

    def stopped(self) -> bool:
        """Return whether somebody stopped the run, where that can be seen."""
        return any((item.get("spec") or {}).get("shutdown") for item in self._workflows() or ())

    def gone(self) -> bool:
        """Return whether the run's Workflow was there and is there no more: then the run stays RUNNING for ever."""
        found = self._workflows()
        if found is None:  # it may not list Workflows; their pods go with them
            found = self._list("Pod", f"pipeline/runid={self.run_id}")
        self._seen = self._seen or bool(found)
        return self._seen and found == []

    def standing(self) -> list[str] | None:
        """Return the model servers of the run that are still there, None where they cannot be seen."""
        found = self._list("InferenceService", f"{RUN}={label(self.run_id)}")
        return None if found is None else [item["metadata"]["name"] for item in found]

    def _workflows(self) -> list[Object] | None:
        return self._list("Workflow", f"pipeline/runid={self.run_id}")

    def _nodes(self, *phases: str) -> Iterator[tuple[str, Object]]:
        for workflow in self._workflows() or ():
            for node in ((workflow.get("status") or {}).get("nodes") or {}).values():
                if node.get("type") == "Pod" and node.get("phase") in phases:
                    yield self._task(node.get("name") or ""), node

    def _task(self, name: str) -> str:
        parts = name.split(".")
        return next((task for task in self.tasks if task in parts), "")

    def _reason(self, pod: Object) -> str:
        status = pod["status"]
        for part in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
            state = part["state"].get("waiting") or {}
            if state.get("reason") and state["reason"] not in STARTING:
                return f"{state['reason']}: {state.get('message') or ''}".rstrip(": ")
        conditions = {item["type"]: item for item in status.get("conditions") or ()}
        if (placed := conditions.get("PodScheduled", {})).get("status") == "False":
            return f"{placed.get('reason')}: {placed.get('message') or ''}".rstrip(": ")
        if conditions.get("PodReadyToStartContainers", {}).get("status") == "True":
            return ""
        about = [
            event
            for event in self._list("Event", "") or ()
            if event.get("type") == "Warning" and event["involvedObject"].get("name") == pod["metadata"]["name"]
        ]
        newest = max(about, key=lambda event: event.get("lastTimestamp") or "", default=None)
        return f"{newest['reason']}: {newest['message']}" if newest else ""

    def _list(self, kind: str, selector: str) -> list[Object] | None:
        if self._cluster is None or kind in self._hidden:
            return None
        try:
            return self._cluster.list(kind, selector)
        except ClusterUnreachable:
            return None
        except AssayError:  # it may not look, or the cluster has no such kind
            self._hidden.add(kind)
            return None


def _terminated(pod: Object) -> Iterator[Object]:
    for part in pod["status"].get("containerStatuses", ()):
        if part["name"] == "main" and (state := part["state"].get("terminated")) and state.get("exitCode"):
            yield state


def _one_line(text: str) -> str:
    return " ".join(text.split())[:1000]
