"""A chat server of a few lines that ends its streams as a test says, or stops to work."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Handler(BaseHTTPRequestHandler):
    """Streams as many tokens as were asked for; the server's `tokens` are fewer, its `cut` leaves the end out."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer({"data": [{"id": "mock", "max_model_len": 512}]})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.works.wait()
        with suppress(ConnectionError):  # who asked may be gone by now
            if asked.get("stream"):
                self.server.prompts.append(json.dumps(asked.get("messages") or asked["prompt"]))
                self.stream(asked)
            else:
                self.answer({"choices": [{"message": {"content": "a"}, "text": "a"}]})

    def stream(self, asked):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        count = self.server.tokens or asked.get("max_completion_tokens") or asked["max_tokens"]
        usage = {"prompt_tokens": 8, "completion_tokens": count, "total_tokens": 8 + count}
        for _ in range(count):
            self.event({"choices": [{"index": 0, "delta": {"content": "a "}, "text": "a ", "finish_reason": None}]})
        if not self.server.cut:
            self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]})
            self.event({"choices": [], "usage": usage})
            self.chunk(b"data: [DONE]\n\n")
        self.chunk(b"")

    def event(self, content):
        self.chunk(f"data: {json.dumps({'id': 'chat', 'object': 'chat.completion.chunk', **content})}\n\n".encode())

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def answer(self, content):
        data = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class StreamingServer(ThreadingHTTPServer):
    """The server, with what it was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.tokens, self.cut, self.prompts = 0, False, []
        self.works = threading.Event()  # until it is set, no request is answered
        self.works.set()
        self.url = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def streaming_server():
    server = StreamingServer()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.works.set()
    server.shutdown()
    thread.join()
    server.server_close()
