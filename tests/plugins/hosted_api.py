"""A hosted model's API: a key, a list of models, chat completions; no /health, /metrics or /version.

What hosted APIs document of themselves: errors are {"error": {"message", "type", "code"}}; an unknown path is 404, a
wrong key 401 and the answer repeats it; arguments that are not OpenAI's are refused with 400 where `strict`;
`max_completion_tokens` in place of `max_tokens` is demanded by the newer models (`newer`).
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

CANARY = "canary-5f1c9e77-key"
OPENAI = {
    "model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "seed", "stop", "stream",
    "stream_options", "n", "response_format", "presence_penalty", "frequency_penalty", "user",
}  # fmt: skip
CREATED = 1_735_689_600  # 2025-01-01


@dataclass
class Hosted:
    """What it offers, and what it was asked."""

    url: str
    model: str = "org/chat-1"
    key: str = CANARY
    strict: bool = True
    newer: bool = False
    obeys: bool = False  # ignore_eos, where it is not strict
    lists: bool = True  # whether it has /v1/models
    statuses: dict[str, int] = field(default_factory=dict)  # of paths that it refuses
    completions: str = ""  # "" has none; "text" ignores echo; "scored" gives the prompt's log-probabilities
    entry: dict = field(default_factory=dict)  # further fields of the model in the list
    reply: str = "A"
    tokenizes: bool = False  # whether it has /tokenize, as vLLM; a token is a letter's number
    asked: list[tuple[str, dict]] = field(default_factory=list)


def serve(hosted: Hosted) -> type[BaseHTTPRequestHandler]:
    """Return the handler of one server."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_GET(self):
            hosted.asked.append((self.path, {}))
            if self._refused():
                return
            if self.path == "/v1/models" and hosted.lists:
                entry = {"id": hosted.model, "object": "model", "created": CREATED, "owned_by": "org"}
                self._json(200, {"object": "list", "data": [entry | hosted.entry]})
            else:
                self._error(404, f"Unknown request URL: GET {self.path}", "unknown_url")

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            hosted.asked.append((self.path, body))
            if self._refused():
                return
            if self.path == "/v1/chat/completions":
                self._chat(body)
            elif self.path == "/tokenize" and hosted.tokenizes:
                begin = [1] if body["add_special_tokens"] else []
                self._json(200, {"tokens": begin + [ord(letter) for letter in body["prompt"]]})
            elif self.path == "/v1/completions" and hosted.completions:
                self._json(200, {"choices": [_completion(body, scored=hosted.completions == "scored")]})
            else:
                self._error(404, f"Unknown request URL: POST {self.path}", "unknown_url")

        def _refused(self):
            given = self.headers.get("Authorization", "").removeprefix("Bearer ")
            if hosted.key and given != hosted.key:
                self._error(401, f"Incorrect API key provided: {given}. Find your key in the console.", "invalid_key")
            elif status := hosted.statuses.get(self.path):
                self._error(status, "Not for this account", "denied")
            else:
                return False
            return True

        def _chat(self, body):
            unknown = sorted(body.keys() - OPENAI) if hosted.strict else []
            if body.get("model") != hosted.model:
                self._error(404, f"The model `{body.get('model')}` does not exist", "model_not_found")
            elif unknown:
                self._error(400, f"Unrecognized request argument supplied: {unknown[0]}", None)
            elif hosted.newer and "max_tokens" in body:
                use = "Use 'max_completion_tokens' instead."
                self._error(400, f"Unsupported parameter: 'max_tokens' is not supported with this model. {use}", None)
            elif body.get("stream"):
                self._stream(body)
            else:
                message = {"role": "assistant", "content": hosted.reply}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                whole = body.get("max_completion_tokens", 1) if body.get("ignore_eos") and hosted.obeys else 1
                self._json(200, {"object": "chat.completion", "choices": [choice], "usage": _usage(body, whole)})

        def _stream(self, body):
            count = body.get("max_completion_tokens") or body.get("max_tokens") or 8
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for _ in range(count):
                self._event({"choices": [{"index": 0, "delta": {"content": "a "}, "finish_reason": None}]})
            self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]})
            if (body.get("stream_options") or {}).get("include_usage"):
                self._event({"choices": [], "usage": _usage(body, count)})
            self._chunk(b"data: [DONE]\n\n")
            self._chunk(b"")

        def _event(self, content):
            text = json.dumps({"id": "chat", "object": "chat.completion.chunk", **content})
            self._chunk(f"data: {text}\n\n".encode())

        def _chunk(self, data):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

        def _error(self, status, message, code):
            self._json(status, {"error": {"message": message, "type": "invalid_request_error", "code": code}})

        def _json(self, status, content):
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


def _usage(body, count):
    asked = sum(len(str(message["content"]).split()) for message in body["messages"]) + 4
    return {"prompt_tokens": asked, "completion_tokens": count, "total_tokens": asked + count}


def _completion(body, *, scored):
    choice = {"index": 0, "text": " a", "finish_reason": "length", "logprobs": None}
    if "logprobs" in body:
        told = [None, *[-1.0] * len(body["prompt"])] if scored and body.get("echo") else [-1.0]
        choice["logprobs"] = {"token_logprobs": told, "top_logprobs": [None, *[{"a": -1.0}] * (len(told) - 1)]}
    return choice


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024  # of five, a load of hundreds at once has its connections reset


@contextmanager
def hosting(**offered):
    """Serve the API until the block ends."""
    found = Hosted("", **offered)
    server = _Server(("127.0.0.1", 0), serve(found))
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def hosted(monkeypatch):
    """The API, with its key in the environment."""
    monkeypatch.setenv("ENDPOINT_API_KEY", CANARY)
    with hosting() as found:
        yield found
