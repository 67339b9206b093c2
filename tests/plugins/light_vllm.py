"""A process that takes vLLM's command line and answers as much of its API as a stage asks before it measures."""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

VERSION = "0.0.1"
METRICS = 'vllm:request_success_total{{finished_reason="stop"}} 0.0\nprocess_start_time_seconds {}\n'


def main(arguments: list[str]) -> None:
    """Serve until the end."""
    model, port, length = (arguments[arguments.index(f"--{name}") + 1] for name in NAMES)
    entry = {"id": model, "max_model_len": int(length), "owned_by": "vllm"}
    answers = {
        "/health": "{}", "/v1/models": json.dumps({"data": [entry]}), "/version": json.dumps({"version": VERSION}),
        "/metrics": METRICS.format(time.time()),
    }  # fmt: skip

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            text = answers.get(self.path)
            self.send_response(200 if text else 404)
            self.end_headers()
            self.wfile.write((text or "").encode())

    ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


NAMES = ("served-model-name", "port", "max-model-len")


@pytest.fixture
def light_vllm(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let deploy_model start this program in place of vLLM; the fixture is its Python."""
    python = tmp_path_factory.mktemp("light") / "python"
    python.write_text(
        f'#!/bin/sh\n[ "$1" = -c ] && exec echo {VERSION}  # which version is installed?\n'
        f'shift 2\nexec {sys.executable} {Path(__file__).resolve()} "$@"\n'
    )
    python.chmod(0o755)
    monkeypatch.setenv("ASSAY_VLLM_PYTHON", str(python))
    return python


if __name__ == "__main__":
    main(sys.argv[1:])
