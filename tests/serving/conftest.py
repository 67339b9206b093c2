"""What a test of KServe needs: a model in a bucket, a connection, a server that answers, and time that runs fast."""

from __future__ import annotations

import base64
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from helpers import serving
from helpers.artifacts import Selection
from helpers.ingestion.publication import publish
from helpers.serving.kserve import failures, proving, removing
from helpers.serving.kserve.names import service_name
from tests.plugins.models import POLICY
from tests.plugins.packages import package
from tests.serving.histories import SPEED

IDS = {"registered_model_id": "7", "model_version_id": "12", "model_artifact_id": "3"}


@dataclass
class Vllm:
    """A server that speaks as much of vLLM's API as a deployment is asked for."""

    url: str
    model: str
    max_model_len: int = 1024
    status: int = 200
    token: str = ""
    metrics: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)


@pytest.fixture
def answers():
    """Start servers; each answers for the model that it is told."""
    servers = []

    def start(model: str) -> Vllm:
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                given = self.headers.get("Authorization", "")
                vllm.asked.append((self.path, given))
                served = {"id": vllm.model, "max_model_len": vllm.max_model_len, "owned_by": "vllm"}
                body = {"/v1/models": {"data": [served]}, "/version": {"version": "0.18.0"}}.get(self.path, {})
                status = 401 if vllm.token and given != f"Bearer {vllm.token}" else vllm.status
                data = vllm.metrics.encode() if self.path == "/metrics" else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        vllm = Vllm(f"http://127.0.0.1:{server.server_port}", model)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return vllm

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def quick(monkeypatch, kubernetes_api):
    """Let planned seconds pass SPEED times as fast, on the cluster and in the stage that waits for it."""
    kubernetes_api.objects.speed = SPEED
    monkeypatch.chdir(kubernetes_api.folder)
    for module, name in ((proving, "INTERVAL"), (removing, "INTERVAL")):
        monkeypatch.setattr(module, name, 0.01)
    for name in ("SILENT_SECONDS", "REFUSED_SECONDS"):
        monkeypatch.setattr(proving, name, getattr(proving, name) / SPEED)
    monkeypatch.setattr(failures, "SCALE", 1 / SPEED)
    return kubernetes_api


@pytest.fixture
def selection(s3_bucket, tmp_path):
    """A signed model in a bucket, and the connection that opens it for KServe."""
    sealed = package(tmp_path / "model")
    known = {"name": "ops-small", "version": "1.0.0", "size_bytes": 2000, "registry": "https://reg-rest.apps.example"}
    return Selection(uri=publish(sealed, f"{s3_bucket.uri}/assay"), digest=sealed.digest, **known, **IDS)


@pytest.fixture
def name(selection):
    return service_name(selection)


@pytest.fixture
def project(quick, s3_bucket):
    """The project as a data connection and an administrator left it."""
    labels = {"opendatahub.io/managed": "true", "opendatahub.io/dashboard": "true"}
    data = {
        "AWS_S3_BUCKET": s3_bucket.name,
        "AWS_S3_ENDPOINT": s3_bucket.endpoint,
        "AWS_SECRET_ACCESS_KEY": "never-shown",
    }
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    quick.put({"kind": "Secret", "metadata": {"name": "assay-store", "labels": labels}, "data": encoded})
    return quick


def settings(**changes):
    usual = {"target": "kserve", "policy": POLICY, "start_timeout_seconds": 60}  # a test that fails ends, too
    return serving.Settings(**usual | changes)
