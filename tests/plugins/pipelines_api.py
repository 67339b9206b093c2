"""A Pipelines server (API v2beta1) on loopback, for Elyra's real processor and the real kfp client.

Every body that comes in or goes out is held against the models of kfp-server-api. A run that is created executes the
uploaded file by the harness; its tasks have the names that Argo gives them. `refuse` makes it answer one path as a
server in trouble would.
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

from tests.plugins import harness
from tests.plugins.pipelines_models import conforms

PREFIX = "/apis/v2beta1"
Answer = tuple[int, dict[str, Any] | str]


class Refused(Exception):
    """An answer that is an error: status, gRPC code, message."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass
class Run:
    """A run: its tasks change while the harness executes them."""

    body: dict[str, Any]
    compiled: harness.Compiled
    tasks: list[harness.Task]
    state: str = "PENDING"
    ended: threading.Event = field(default_factory=threading.Event)


@dataclass
class PipelinesApi:
    """A running server and what was sent to it."""

    token: str
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
        raise Refused(404, 5, f"Not Found: {method} {path}")

    def _check(self, content: Any, model: str, where: str) -> None:
        self.errors.extend(f"{where}: {problem}" for problem in conforms(content, model))

    def healthz(self, _query: dict, _body: Any) -> dict:
        return {"multi_user": False}

    def list_experiments(self, query: dict, _body: Any) -> dict:
        return {"experiments": _matching(self.experiments, query)}

    def create_experiment(self, _query: dict, body: dict) -> dict:
        known = {"experiment_id": str(uuid.uuid4()), "created_at": _now(), "storage_state": "AVAILABLE"}
        self.experiments[known["experiment_id"]] = body | known
        return self.experiments[known["experiment_id"]]

    def list_pipelines(self, query: dict, _body: Any) -> dict:
        # A server leaves empty lists out.
        found = _matching(self.pipelines, query)
        return {"pipelines": found, "total_size": len(found)} if found else {}

    def list_versions(self, _query: dict, _body: Any, pipeline: str) -> dict:
        return {"pipeline_versions": [item for item in self.versions.values() if item["pipeline_id"] == pipeline]}

    def upload_pipeline(self, query: dict, file: str) -> dict:
        name = query["name"]
        if _matching(self.pipelines, {}, name):
            raise Refused(409, 6, f"The name {name} already exist. Please specify a new name")
        known = {"pipeline_id": str(uuid.uuid4()), "display_name": name, "created_at": _now()}
        self.pipelines[known["pipeline_id"]] = known
        self._new_version(known["pipeline_id"], name, file)
        return known

    def upload_version(self, query: dict, file: str) -> dict:
        if query["pipelineid"] not in self.pipelines:
            raise Refused(404, 5, f"Pipeline {query['pipelineid']} not found")
        return self._new_version(query["pipelineid"], query["name"], file)

    def _new_version(self, pipeline: str, name: str, file: str) -> dict:
        if any(item["display_name"] == name and item["pipeline_id"] == pipeline for item in self.versions.values()):
            raise Refused(409, 6, f"The name {name} already exist. Please specify a new name")
        known = {"pipeline_id": pipeline, "pipeline_version_id": str(uuid.uuid4()), "display_name": name}
        self.files[known["pipeline_version_id"]] = file
        self.versions[known["pipeline_version_id"]] = known | {"created_at": _now()}
        return self.versions[known["pipeline_version_id"]]

    def create_run(self, _query: dict, body: dict) -> dict:
        if body["experiment_id"] not in self.experiments:
            raise Refused(404, 5, f"Experiment {body['experiment_id']} not found")
        version = body["pipeline_version_reference"]["pipeline_version_id"]
        if version not in self.files:
            raise Refused(404, 5, f"PipelineVersion {version} not found")
        compiled = harness.Compiled(self.files[version])
        run = Run({**body, "run_id": str(uuid.uuid4()), "created_at": _now()}, compiled, compiled.tasks())
        self.runs[run.body["run_id"]] = run
        threading.Thread(target=self._execute, args=(run,), daemon=True).start()
        return self.get_run({}, None, run.body["run_id"])

    def get_run(self, _query: dict, _body: Any, run_id: str) -> dict:
        if run_id not in self.runs:
            raise Refused(404, 5, f"Run {run_id} not found")
        run = self.runs[run_id]
        tasks = [
            {"run_id": run_id, "task_id": task.key, "display_name": name, "state": task.state}
            for task in run.tasks
            for name in (f"{task.key}-driver", task.key, "executor")
        ]
        root = {"run_id": run_id, "task_id": "root", "display_name": "root", "state": run.state}
        return {**run.body, "state": run.state, "run_details": {"task_details": [root, *tasks]}}

    def _execute(self, run: Run) -> None:
        run.state = "RUNNING"
        try:
            if self.pods is not None:
                given = (run.body.get("runtime_config") or {}).get("parameters") or {}
                harness.execute(run.compiled, self.pods, self.folder / run.body["run_id"], given, run.tasks)
            else:
                for task in run.tasks:
                    task.state = "SUCCEEDED"
            run.state = "SUCCEEDED" if all(task.state == "SUCCEEDED" for task in run.tasks) else "FAILED"
        except Exception as error:  # noqa: BLE001, shown when the server stops
            self.errors.append(f"run {run.body['run_id']}: {error!r}")
        finally:
            run.state = "FAILED" if run.state == "RUNNING" else run.state
            run.ended.set()


# (method, path) -> (model of the request, model of the reply, name of the method)
ROUTES: dict[tuple[str, str], tuple[str, str, str]] = {
    ("GET", "/healthz"): ("", "V2beta1GetHealthzResponse", "healthz"),
    ("GET", "/experiments"): ("", "V2beta1ListExperimentsResponse", "list_experiments"),
    ("POST", "/experiments"): ("V2beta1Experiment", "V2beta1Experiment", "create_experiment"),
    ("GET", "/pipelines"): ("", "V2beta1ListPipelinesResponse", "list_pipelines"),
    ("GET", "/pipelines/([^/]+)/versions"): ("", "V2beta1ListPipelineVersionsResponse", "list_versions"),
    ("POST", "/pipelines/upload"): ("file", "V2beta1Pipeline", "upload_pipeline"),
    ("POST", "/pipelines/upload_version"): ("file", "V2beta1PipelineVersion", "upload_version"),
    ("POST", "/runs"): ("V2beta1Run", "V2beta1Run", "create_run"),
    ("GET", "/runs/([^/]+)"): ("", "V2beta1Run", "get_run"),
}


def _matching(items: dict[str, dict], query: dict[str, str], name: str = "") -> list[dict]:
    if "filter" in query:
        (predicate,) = json.loads(query["filter"])["predicates"]
        assert predicate["key"] in ("name", "display_name")
        name = predicate.get("stringValue") or predicate["string_value"]
    return [item for item in items.values() if not name or item["display_name"] == name]


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
        if self.headers.get("Authorization") != f"Bearer {self.api.token}":
            return self._send(401, "Unauthorized\n", "text/plain; charset=utf-8")  # by the proxy before the server
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        try:
            path = parts.path.removeprefix(PREFIX)
            kind = self.headers.get("Content-Type", "")
            status, content = self.api.answer(self.command, path, query, body, kind)
        except Refused as error:
            content = {"error": str(error), "code": error.code, "message": str(error), "details": []}
            status = error.status
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
