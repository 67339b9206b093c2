"""Start a pipeline that an alert asks for: here by the local runner, in a pod by the Pipelines API, never twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.artifacts import run as runs
from helpers.errors import NotFound, PipelinesUnreachable, SubmissionFailed
from helpers.pipelines.failures import message
from helpers.runtime.account import in_pod, namespace
from helpers.runtime.workspace import ROOT, home

if TYPE_CHECKING:
    from helpers.monitoring.triggers import Raised

# Pods of a pipeline reach it without a token: the operator's NetworkPolicy lets them in.
API = "http://ds-pipeline-dspa.{project}.svc:8888"
PREFIX = "/apis/v2beta1"
EXPERIMENT = "watch"


def start(raised: Raised, name: str) -> tuple[str, bool]:
    """Start the pipeline that `raised` asks for as a run called `name`; return the run, and whether it is new.

    Raises NotFound, PipelinesUnreachable or SubmissionFailed.
    """
    given = {"MODEL_NAME": raised.model, "MODEL_VERSION": raised.version, "USE_CASE": raised.use_case}
    given["TRIGGER"] = raised.cause
    if raised.action == "regression":
        given["FRESH"] = "true"  # else what was measured before the alert would be the answer
    return on_cluster(raised.action, given, name) if in_pod() else here(raised.action, given, name)


def here(pipeline: str, given: Mapping[str, str], name: str, folder: Path = ROOT / "runs") -> tuple[str, bool]:
    """Start the local runner as a process that outlives this one; its log is the file `name` among the logs."""
    log = home() / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    words = [f"{key}={value}" for key, value in given.items()]
    command = [sys.executable, "-m", "helpers.local.run_pipeline", pipeline, *words, "--runs", str(folder)]
    kept = {key: value for key, value in os.environ.items() if key != runs.VARIABLE}  # of the run that watches
    with log.open("ab") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, env=kept, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    return f"{name} (process {process.pid}, {log})", True


def on_cluster(pipeline: str, given: Mapping[str, str], name: str, api: str = "") -> tuple[str, bool]:
    """Start the newest version of a pipeline that was submitted before, unless there is a run called `name`."""
    server = _Server(api or API.format(project=namespace()))
    found = server.ask("GET", f"/pipelines/names/{pipeline}")
    listed = server.ask("GET", f"/pipelines/{found['pipeline_id']}/versions", page_size="1", sort_by="created_at desc")
    experiment = server.named("experiments", EXPERIMENT) or server.ask(
        "POST", "/experiments", {"display_name": EXPERIMENT, "namespace": namespace()}
    )
    if before := server.named("runs", name, experiment_id=experiment["experiment_id"]):
        return str(before["run_id"]), False
    version = listed["pipeline_versions"][0]
    typed = {key: True if value == "true" else value for key, value in given.items()}  # a pod has no pipeline's file
    wanted = {
        "display_name": name,
        "experiment_id": experiment["experiment_id"],
        "pipeline_version_reference": {
            "pipeline_id": found["pipeline_id"], "pipeline_version_id": version["pipeline_version_id"]
        },
        "runtime_config": {"parameters": typed},
    }  # fmt: skip
    return str(server.ask("POST", "/runs", wanted)["run_id"]), True


class _Server:
    """The Pipelines API, without what kfp's client brings: a stage's image has no kfp."""

    def __init__(self, api: str) -> None:
        self.api = api

    def named(self, kind: str, name: str, **query: str) -> dict[str, Any] | None:
        """Return the newest object of a name, None where there is none."""
        predicate = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
        query |= {"filter": json.dumps({"predicates": [predicate]}), "page_size": "1"}
        found = self.ask("GET", f"/{kind}", **query)  # type: ignore[arg-type]
        return next(iter(found.get(kind, [])), None)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, **query: str) -> Any:
        """Return an answer. Raises NotFound for a pipeline's name, PipelinesUnreachable or SubmissionFailed."""
        import httpx

        try:
            answer = httpx.request(method, f"{self.api}{PREFIX}{path}", params=query, json=body, timeout=30)
        except httpx.HTTPError as error:
            raise PipelinesUnreachable(
                f"The Pipelines server {self.api} does not answer: {error}",
                do="Check that the project's pipeline server is called dspa, and that this is a pod of a pipeline",
            ) from error
        if answer.status_code == 404 and "/names/" in path:
            raise NotFound(f"There is no pipeline {path.rpartition('/')[2]}", do="Submit it once: make submit")
        if answer.is_error:
            raise SubmissionFailed(
                f"{self.api} refused {method} {path} ({answer.status_code}): {message(answer.text)}",
                do="Look at the pipeline on the dashboard",
            )
        return answer.json()
