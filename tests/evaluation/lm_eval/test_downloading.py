"""Data that lies elsewhere is fetched before the task's code runs; no code of a task gets the hub's token."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from helpers.errors import InvalidDataset
from helpers.evaluation.lm_eval import evaluate
from tests.evaluation.lm_eval.test_tasks import CHOICE, of, rows, written
from tests.plugins.records import KNOWLEDGE

TOKEN = "hf_canary-of-the-hub"
NOSY = """
import os, sys

def first(docs):
    from huggingface_hub import get_token
    print("SEEN", dict(os.environ), get_token(), file=sys.stderr)
    return docs
"""


@pytest.fixture
def web():
    """A server with one file, and the requests that came in."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            server.requests.append((self.path, self.headers.get("Authorization")))
            found = self.path == "/rows.jsonl"
            body = rows(3).encode() if found else b""
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests = []
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()


def test_a_group_of_local_and_downloaded_data_is_asked_and_its_code_gets_no_token(
    web, settings, endpoint, tmp_path, monkeypatch
):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "token").write_text(TOKEN)
    folder = tmp_path / "group"
    address = f"http://127.0.0.1:{web.server_address[1]}/rows.jsonl"
    written(
        folder,
        {
            "near.yaml": of({"test": "near.jsonl"}).replace("mine", "near") + "process_docs: !function nosy.first\n",
            "near.jsonl": rows(2),
            "nosy.py": NOSY,
            "far.yaml": of({"test": address}).replace("mine", "far") + "process_docs: !function nosy.first\n",
            "both.yaml": "group: both\ntask: [near, far]\naggregate_metric_list: [{metric: acc}]\n",
        },
    )
    found = evaluate(settings(task="both", include_path=folder), endpoint(), tmp_path / "artifacts")
    assert (found.n, found.failed) == (5, 0)
    said = (tmp_path / "artifacts" / KNOWLEDGE.log).read_text()
    assert "SEEN {'PATH'" in said
    assert TOKEN not in said
    assert web.requests
    assert {authorization for _, authorization in web.requests} == {None}
    report = json.loads((tmp_path / "artifacts" / KNOWLEDGE.results).read_text())
    assert report["assay_task"]["content"].keys() == {
        "near.yaml", "far.yaml", "both.yaml", "nosy.py", "near.jsonl", "data of near, 0: near.jsonl",
    }  # fmt: skip


def test_data_that_cannot_be_had_is_named_before_a_question_is_asked(web, server, settings, endpoint, tmp_path):
    address = f"http://127.0.0.1:{web.server_address[1]}/gone.jsonl"
    written(tmp_path / "task", {"mine.yaml": of({"test": address}) + CHOICE})
    with pytest.raises(InvalidDataset, match="mine"):
        evaluate(settings(task="mine", include_path=tmp_path / "task"), endpoint(), tmp_path / "artifacts")
    assert server.prompts == []
