"""A Pipelines server (API v2beta1) on loopback, for Elyra's real processor and the real kfp client.

It answers as the real one was recorded (tests/facts/pipelines), and every body that comes in or goes out is held
against the models of kfp-server-api. A run that is created executes the uploaded file by the harness. `refuse` makes it
answer one path as a server in trouble would, `away` as a proxy before a server that is gone, `replayed` has recorded
runs.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.plugins import harness
from tests.plugins.pipelines_models import conforms

PREFIX = "/apis/v2beta1"
Answer = tuple[int, dict[str, Any] | str]


class Refused(Exception):
    """An answer that is an error: status, gRPC code, the chain of what failed, and its cause."""

    def __init__(self, status: int, code: int, message: str, cause: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.cause = status, code, cause or message

    def body(self, path: str) -> dict[str, Any]:
        if path.startswith("/pipelines/upload"):
            stack = "github.com/kubeflow/pipelines/backend/src/apiserver/server.(*PipelineUploadServer)"
            return {
                "error_message": str(self),
                "error_details": f"{self}\n{stack}\n\t/src/pipeline_upload_server.go:86",
            }
        detail = {"@type": "type.googleapis.com/google.rpc.Status", "code": self.code, "message": self.cause}
        known = {"code": self.code, "message": str(self)}
        return known if str(self) == "Not Found" else known | {"details": [detail]}


def not_found(chain: str, what: str) -> Refused:
    return Refused(404, 5, f"{chain}: ResourceNotFoundError: {what} not found", f"{what} not found")


@dataclass
class Run:
    """A run: its tasks change while the harness executes them."""

    body: dict[str, Any]
    compiled: harness.Compiled
    tasks: list[harness.Task]
    states: list[str] = field(default_factory=lambda: ["PENDING"])
    ended: threading.Event = field(default_factory=threading.Event)
    stop: harness.Stop = field(default_factory=harness.Stop)
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def state(self) -> str:
        return self.states[-1]

    @state.setter
    def state(self, state: str) -> None:
        self.states.append(state)


@dataclass
class PipelinesApi:
    """A running server and what was sent to it."""

    token: str  # "" where pods of a pipeline reach it without one
    folder: Path
    pods: harness.Pods | None = None
    address: str = ""
    experiments: dict[str, dict[str, Any]] = field(default_factory=dict)
    pipelines: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)  # version -> what was uploaded
    runs: dict[str, Run] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)  # what does not agree with the models, or ended a run unasked
    refusals: dict[str, Refused] = field(default_factory=dict)
    replayed: dict[str, dict[str, Any]] = field(default_factory=dict)  # recorded runs by id
    away: list[int] = field(default_factory=list)  # statuses of the next answers, as a proxy gives them; 0 hangs up

    def refuse(self, request: str, status: int, code: int, message: str) -> None:
        """Answer `METHOD /path` with this error."""
        self.refusals[request] = Refused(status, code, message)

    def wait(self, timeout: float = 900) -> Run:
        """Return the newest run when it has ended."""
        run = list(self.runs.values())[-1]
        assert run.ended.wait(timeout), "the run did not end"
        return run

    # Answers

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes, kind: str) -> Answer:
        self.requests.append(f"{method} {path}")
        if refused := self.refusals.get(f"{method} {path}"):
            raise refused
        for (known, pattern), call in ROUTES.items():
            if known == method and (match := re.fullmatch(pattern, path)):
                sent, model, reply = call
                content = _multipart(body, kind) if sent == "file" else json.loads(body) if sent else None
                if sent and sent != "file":
                    self._check(content, sent, f"request {method} {path}")
                answer = getattr(self, reply)(query, content, *match.groups())
                self._check(answer, model, f"reply to {method} {path}")
                return 200, answer
        raise Refused(404, 5, "Not Found")

    def _check(self, content: Any, model: str, where: str) -> None:
        self.errors.extend(f"{where}: {problem}" for problem in conforms(content, model))

    def healthz(self, _query: dict, _body: Any) -> dict:
        return {"commit_sha": "unknown", "tag_name": "unknown", "multi_user": False, "pipeline_store": "database"}

    def list_experiments(self, query: dict, _body: Any) -> dict:
        found = _matching(self.experiments, query)
        return {"experiments": found, "total_size": len(found)} if found else {}

    def get_experiment(self, _query: dict, _body: Any, experiment: str) -> dict:
        if experiment not in self.experiments:
            raise not_found("Failed to fetch experiment", f"Experiment {experiment}")
        return self.experiments[experiment]

    def create_experiment(self, _query: dict, body: dict) -> dict:
        if _matching(self.experiments, {}, body["display_name"]):
            taken = f"The name {body['display_name']} already exists. Please specify a new name"
            cause = f"Failed to create a new experiment. {taken}"
            raise Refused(409, 6, f"Failed to create a experiment: Already exist error: {cause}", cause)
        known = {"experiment_id": str(uuid.uuid4()), "created_at": _now(), "storage_state": "AVAILABLE"}
        self.experiments[known["experiment_id"]] = body | known
        return self.experiments[known["experiment_id"]]

    def list_pipelines(self, query: dict, _body: Any) -> dict:
        # A server leaves empty lists out.
        found = _matching(self.pipelines, query)
        return {"pipelines": found, "total_size": len(found)} if found else {}

    def pipeline_by_name(self, _query: dict, _body: Any, name: str) -> dict:
        if found := _matching(self.pipelines, {}, name):
            return found[0]
        chain = f"Failed to get a pipeline with name {name} and namespace . Check error stack."
        raise not_found(f"{chain}: Failed to get a pipeline named {name} in namespace ", f"Namespace/Pipeline /{name}")

    def list_versions(self, _query: dict, _body: Any, pipeline: str) -> dict:
        found = [item for item in self.versions.values() if item["pipeline_id"] == pipeline]
        return {"pipeline_versions": found[::-1], "total_size": len(found)}

    def upload_pipeline(self, query: dict, file: str) -> dict:
        name = query["name"]
        if _matching(self.pipelines, {}, name):
            raise Refused(409, 6, "Failed to create a pipeline and a pipeline version")
        described = _described(file)
        known = {"pipeline_id": str(uuid.uuid4()), "display_name": name, "name": name, "created_at": _now()} | described
        self.pipelines[known["pipeline_id"]] = known
        self._new_version(known["pipeline_id"], name, file)
        return known

    def upload_version(self, query: dict, file: str) -> dict:
        taken = any(
            item["display_name"] == query["name"] and item["pipeline_id"] == query["pipelineid"]
            for item in self.versions.values()
        )
        if taken or query["pipelineid"] not in self.pipelines:
            raise Refused(409 if taken else 400, 6 if taken else 3, "Failed to create a pipeline version")
        return self._new_version(query["pipelineid"], query["name"], file)

    def _new_version(self, pipeline: str, name: str, file: str) -> dict:
        known = {"pipeline_id": pipeline, "pipeline_version_id": str(uuid.uuid4()), "display_name": name, "name": name}
        self.files[known["pipeline_version_id"]] = file
        self.versions[known["pipeline_version_id"]] = known | _described(file) | {"created_at": _now()}
        return self.versions[known["pipeline_version_id"]]

    def create_run(self, _query: dict, body: dict) -> dict:
        if (experiment := body["experiment_id"]) not in self.experiments:
            chain = (
                "Failed to create a new run: Failed to create a run due to invalid experimentId and namespace "
                f"combination: Failed to fetch namespace for experiment {experiment}: Failed to fetch namespace from "
                f"experiment {experiment}"
            )
            raise not_found(chain, f"Experiment {experiment}")
        version = body["pipeline_version_reference"]["pipeline_version_id"]
        if version not in self.files:
            chain = (
                "Failed to create a new run: InternalServerError: Failed to create a run due to error fetching "
                "manifest: Failed to fetch a template due to error retrieving pipeline version: Failed to fetch a "
                f"pipeline version and its manifest from pipeline version {version}: Failed to get a pipeline version "
                f"with id {version}: ResourceNotFoundError: PipelineVersion {version} not found"
            )
            raise Refused(500, 13, chain, "Internal Server Error")
        compiled = harness.Compiled(self.files[version])
        run = Run({**body, "run_id": str(uuid.uuid4()), "created_at": _now()}, compiled, compiled.tasks())
        self.runs[run.body["run_id"]] = run
        self._start(run)
        return self.get_run({}, None, run.body["run_id"])

    def list_runs(self, query: dict, _body: Any) -> dict:
        shown = {run_id: self._shown(run) for run_id, run in self.runs.items()}
        found = [run for run in _matching(shown, query) if query.get("experiment_id") in (None, run["experiment_id"])]
        return {"runs": found, "total_size": len(found)} if found else {}

    def get_run(self, _query: dict, _body: Any, run_id: str) -> dict:
        if run_id in self.replayed:
            return self.replayed[run_id]
        return self._shown(self._run(run_id, "Failed to get a run: Failed to fetch run"))

    def terminate_run(self, _query: dict, _body: Any, run_id: str) -> dict:
        run = self._run(run_id, "Failed to terminate a run: Failed to terminate run")
        if run.ended.is_set():
            cause = f"Failed to terminate a run {run_id}. Row not found"
            chain = f"Failed to terminate a run: Failed to terminate run {run_id}: Invalid input error"
            raise Refused(400, 3, f"{chain}: {cause}", cause)
        run.stop.set()
        return {}

    def retry_run(self, _query: dict, _body: Any, run_id: str) -> dict:
        """Go on from what failed; an exit task that had succeeded does not run again."""
        run = self._run(run_id, "Failed to retry a run: Failed to retry run")
        if run.state != "FAILED":
            cause = "Workflow must be Failed/Error to retry"
            chain = f"Failed to retry a run: Failed to retry run {run_id}: BadRequestError: {cause}"
            raise Refused(409, 10, f"{chain}: workflow cannot be retried", cause)
        for task in run.tasks:
            if task.state != "SUCCEEDED":
                task.state = "PENDING"
        run.ended.clear()
        run.stop = harness.Stop()
        self._start(run)
        return {}

    def _run(self, run_id: str, chain: str) -> Run:
        if run_id not in self.runs:
            raise not_found(f"{chain} {run_id}", f"Run {run_id}")
        return self.runs[run_id]

    def _shown(self, run: Run) -> dict:
        run_id, workflow = run.body["run_id"], f"{run.compiled.name}-{run.body['run_id'][:5]}"
        begun = {"start_time": _text(run.began)}
        groups = ("root", workflow)
        rows = [
            {"display_name": name, "state": run.state, "state_history": _history(run.states[1:]), **begun}
            for name in groups
        ]
        rows.append({"display_name": "root-driver", **DRIVER, **begun})
        rows += [row for task in run.tasks for row in _rows(task)]
        found = [{"run_id": run_id, "task_id": str(number), **row} for number, row in enumerate(rows)]
        details = {"task_details": found}
        return {**run.body, "state": run.state, "state_history": _history(run.states), "run_details": details}

    def _start(self, run: Run) -> None:
        run.state = "RUNNING"
        threading.Thread(target=self._execute, args=(run,), daemon=True).start()

    def _execute(self, run: Run) -> None:
        state = "FAILED"
        try:
            if self.pods is not None:
                given = (run.body.get("runtime_config") or {}).get("parameters") or {}
                folder = self.folder / run.body["run_id"]
                harness.execute(run.compiled, self.pods, folder, given, run.tasks, run.stop)
            else:
                for task in run.tasks:
                    task.state = "SUCCEEDED"
                    task.attempts.append(harness.Attempt(["PENDING", "RUNNING", "SUCCEEDED"], ended=datetime.now(UTC)))
            if all(task.state == "SUCCEEDED" for task in run.tasks):
                state = "SUCCEEDED"
        except Exception as error:  # noqa: BLE001, shown when the server stops
            self.errors.append(f"run {run.body['run_id']}: {error!r}")
        finally:
            run.state = state
            run.ended.set()


def _rows(task: harness.Task) -> Iterator[dict[str, Any]]:
    """Yield what the server shows of a node: its driver, itself, and its pods, with numbers where it is tried again."""
    if not task.attempts:  # it is known and has no state
        if task.state == "SKIPPED":
            yield from ({"display_name": name, "state_history": [{}]} for name in (f"{task.key}-driver", task.key))
        return
    first, last = task.attempts[0], task.attempts[-1]
    times = {"start_time": _text(first.started), "end_time": _text(last.ended)}
    own = ["RUNNING"]
    for attempt in task.attempts:
        if attempt.ended and (attempt is last or not task.retries):
            own += [attempt.history[-1], "RUNNING"]
    own = own if task.state == "RUNNING" else own[:-1]
    own = own if own[-1] == task.state else [*own[:-1], task.state]
    yield {"display_name": f"{task.key}-driver", **DRIVER, "start_time": _text(first.started)}
    yield {"display_name": task.key, "state": task.state, "state_history": _history(own), **times}
    if not task.retries:
        merged = [state for attempt in task.attempts for state in attempt.history]
        newest = {"start_time": _text(last.started), "end_time": _text(last.ended)}
        yield {"display_name": "executor", "state": merged[-1], "state_history": _history(merged), **newest}
        return
    yield {"display_name": "executor", "state": task.state, "state_history": _history(own), **times}
    for number, attempt in enumerate(task.attempts):
        times = {"start_time": _text(attempt.started), "end_time": _text(attempt.ended)}
        shown = {"state": attempt.history[-1], "state_history": _history(attempt.history)}
        yield {"display_name": f"executor({number})", **shown, **times}


DRIVER = {"state": "SUCCEEDED", "state_history": [{"state": "PENDING"}, {"state": "SUCCEEDED"}]}


def _history(states: list[str]) -> list[dict[str, Any]]:
    return [{"state": state, "update_time": _now()} for state in states]


def _text(when: datetime | None) -> str:
    return when.isoformat() if when else "0001-01-01T00:00:00Z"


# (method, path) -> (model of the request, model of the reply, name of the method)
ROUTES: dict[tuple[str, str], tuple[str, str, str]] = {
    ("GET", "/healthz"): ("", "object", "healthz"),
    ("GET", "/experiments"): ("", "V2beta1ListExperimentsResponse", "list_experiments"),
    ("GET", "/experiments/([^/]+)"): ("", "V2beta1Experiment", "get_experiment"),
    ("POST", "/experiments"): ("V2beta1Experiment", "V2beta1Experiment", "create_experiment"),
    ("GET", "/pipelines"): ("", "V2beta1ListPipelinesResponse", "list_pipelines"),
    ("GET", "/pipelines/names/([^/]+)"): ("", "V2beta1Pipeline", "pipeline_by_name"),
    ("GET", "/pipelines/([^/]+)/versions"): ("", "V2beta1ListPipelineVersionsResponse", "list_versions"),
    ("POST", "/pipelines/upload"): ("file", "V2beta1Pipeline", "upload_pipeline"),
    ("POST", "/pipelines/upload_version"): ("file", "V2beta1PipelineVersion", "upload_version"),
    ("GET", "/runs"): ("", "V2beta1ListRunsResponse", "list_runs"),
    ("POST", "/runs"): ("V2beta1Run", "V2beta1Run", "create_run"),
    ("GET", "/runs/([^/:]+)"): ("", "V2beta1Run", "get_run"),
    ("POST", "/runs/([^/:]+):terminate"): ("", "object", "terminate_run"),
    ("POST", "/runs/([^/:]+):retry"): ("", "object", "retry_run"),
}


def _matching(items: dict[str, dict], query: dict[str, str], name: str = "") -> list[dict]:
    if "filter" in query:
        (predicate,) = json.loads(query["filter"])["predicates"]
        assert predicate["key"] in ("name", "display_name")
        name = predicate.get("stringValue") or predicate["string_value"]
    return [item for item in items.values() if not name or item["display_name"] == name]


def _described(file: str) -> dict[str, str]:
    try:
        spec = next(iter(yaml.safe_load_all(file)))
        return {"description": spec["pipelineInfo"].get("description", "")}
    except (yaml.YAMLError, TypeError, KeyError) as error:
        raise Refused(400, 3, "unknown template format") from error


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _multipart(body: bytes, kind: str) -> str:
    message = BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    (part,) = message.get_payload()
    assert part.get_param("name", header="content-disposition") == "uploadfile"
    return part.get_payload(decode=True).decode()


class _Handler(BaseHTTPRequestHandler):
    api: PipelinesApi
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.api.token and self.headers.get("Authorization") != f"Bearer {self.api.token}":
            return self._send(401, "Unauthorized\n", "text/plain; charset=utf-8")  # by the proxy before the server
        if self.api.away:
            status = self.api.away.pop(0)
            if not status:
                self.close_connection = True
                return None
            return self._send(status, "<html><body>Bad Gateway</body></html>", "text/html")
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        try:
            path = parts.path.removeprefix(PREFIX)
            kind = self.headers.get("Content-Type", "")
            status, content = self.api.answer(self.command, path, query, body, kind)
        except Refused as error:
            status, content = error.status, error.body(parts.path.removeprefix(PREFIX))
        return self._send(status, json.dumps(content), "application/json")

    do_GET = do_POST = _serve

    def _send(self, status: int, text: str, kind: str) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing; `requests` has them."""


@contextmanager
def serving_pipelines(api: PipelinesApi, certificate: Path | None = None) -> Iterator[PipelinesApi]:
    """Serve until the block ends; a certificate makes it https. What disagreed with the models fails the test."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"api": api}))
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    api.address = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert not api.errors, "\n".join(api.errors)
