"""An MLflow that keeps runs in memory and refuses what the real one refuses, for tests that need no environment.

What it cannot show: a database, other versions' answers, OpenShift AI's authorization. `test_real_server.py` has the
real one.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

KEY = re.compile(r"[\w\-. :/]{1,250}", re.ASCII)
API, FILES = "/mlflow/api/2.0/mlflow/", "/mlflow/api/2.0/mlflow-artifacts/artifacts/"


@dataclass
class Mlflow:
    """What a test sees of it, and what it is to do."""

    url: str = ""
    experiments: dict[str, str] = field(default_factory=dict)
    runs: list[dict] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    headers: list[dict[str, str]] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)  # statuses of the next answers; 0 answers
    token: str = ""
    workspace: str = ""
    place: str = "mlflow-artifacts:/"

    def answer(self, method: str, path: str, query: dict, body: bytes) -> tuple[int, dict]:
        """Return status and answer of one request."""
        if path.startswith(FILES) and method == "PUT":
            self.files[path.removeprefix(FILES)] = body
            return 200, {}
        said = json.loads(body) if body else {}
        name = path.removeprefix(API).replace("/", "_").replace("-", "_")
        return getattr(self, f"{method.lower()}_{name}")(said, query)

    def get_experiments_get_by_name(self, _, query):
        name = query["experiment_name"][0]
        if name not in self.experiments:
            return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"No Experiment with name={name} exists"}
        return 200, {"experiment": {"experiment_id": self.experiments[name], "name": name}}

    def post_experiments_create(self, said, _):
        self.experiments[said["name"]] = str(len(self.experiments) + 1)
        return 200, {"experiment_id": self.experiments[said["name"]]}

    def post_runs_search(self, said, _):
        name, value = re.fullmatch(r"tags\.`([\w.]+)` = '(\w+)'", said["filter"]).groups()
        there = [run for run in self.runs if run["info"]["experiment_id"] in said["experiment_ids"]]
        return 200, {"runs": [run for run in there if {"key": name, "value": value} in run["tags"]]}

    def post_runs_create(self, said, _):
        known = f"run{len(self.runs)}"
        info = {
            "run_id": known, "status": "RUNNING", "start_time": said["start_time"], "run_name": said["run_name"],
            "experiment_id": said["experiment_id"], "artifact_uri": f"{self.place}{known}/artifacts",
        }  # fmt: skip
        self.runs.append({"info": info, "tags": said["tags"], "metrics": {}, "params": {}, "inputs": []})
        return 200, {"run": self.runs[-1]}

    def post_runs_log_batch(self, said, _):
        run, metrics, params = self._run(said), said.get("metrics", []), said.get("params", [])
        if wrong := [each["key"] for each in [*metrics, *params] if not KEY.fullmatch(each["key"])]:
            return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": f"Invalid key {wrong}"}
        if len(metrics) > 1000 or len(params) > 100 or any(len(each["value"]) > 500 for each in params):
            return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "too much at once"}
        for each in params:
            if run["params"].setdefault(each["key"], each["value"]) != each["value"]:
                return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "Changing param values is not allowed"}
        run["metrics"].update({each["key"]: each["value"] for each in metrics})
        return 200, {}

    def post_runs_log_inputs(self, said, _):
        if wrong := [each for each in said["datasets"] if len(each["dataset"]["digest"]) > 36]:
            return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": f"Dataset digest of {wrong}"}
        self._run(said)["inputs"] = said["datasets"]
        return 200, {}

    def post_runs_update(self, said, _):
        self._run(said)["info"]["status"] = said["status"]
        return 200, {}

    def _run(self, said):
        return next(run for run in self.runs if run["info"]["run_id"] == said["run_id"])


@contextmanager
def scripted() -> Iterator[Mlflow]:
    """Serve one until the block ends."""
    mlflow = Mlflow()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def answer(self):
            body, url = self.rfile.read(int(self.headers.get("Content-Length") or 0)), urlsplit(self.path)
            mlflow.headers.append(dict(self.headers))
            status, said = mlflow.failures.pop(0) if mlflow.failures else 0, {}
            if not status and mlflow.token and self.headers.get("Authorization") != f"Bearer {mlflow.token}":
                status = 401
            if not status and self.headers.get("X-MLFLOW-WORKSPACE", "") != mlflow.workspace:
                status, said = (
                    400,
                    {"error_code": "INVALID_PARAMETER_VALUE", "message": "Workspace context is required"},
                )
            if not status:
                status, said = mlflow.answer(self.command, url.path, parse_qs(url.query), body)
            data = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = answer

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    mlflow.url = f"http://127.0.0.1:{server.server_port}/mlflow"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield mlflow
    finally:
        server.shutdown()
        server.server_close()
