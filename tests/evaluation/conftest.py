"""A scripted completions server: the real one cannot be made to fail on one question. The stack tests use real vLLM."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from helpers import errors
from helpers.artifacts import Endpoint, Hardware, now
from helpers.evaluation.lm_eval import Settings, build_command, check_task, harness, read_results
from helpers.runtime import patience
from helpers.runtime.workspace import ROOT

OPS = ROOT / "datasets" / "ops-assistant"
ROWS = 10


class Scripted(ThreadingHTTPServer):
    """Gives every prompt log-probabilities that depend on its tokens alone, and fails where it is told to."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.refuse = lambda tokens: None  # prompt -> HTTP status, or None
        self.dies_after = None  # prompts, then every connection is cut
        self.key = None
        self.hold = None  # an event that answers wait for
        self.without_logprobs = False
        self.loses = None  # the prompt whose log-probabilities it leaves out
        self.prompts = []
        self.chat = None  # body -> a message with its finish_reason, a status, or why not; None: no chat here
        self.chats = []
        self.text = None  # body -> what it writes after a prompt
        self.tokenizer = None  # of the library tokenizers, for /tokenize as vLLM has it
        self.lock = threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def dead(self):
        return self.dies_after is not None and len(self.prompts) + len(self.chats) >= self.dies_after

    def handle_error(self, request, client_address):
        pass  # a client that was killed is part of the tests


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def reply(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def talk(self, body):
        with self.server.lock:
            if self.server.dead:
                self.close_connection = True
                return None
            self.server.chats.append(body)
        found = self.server.chat(body)
        if not isinstance(found, dict):
            return self.reply(found if isinstance(found, int) else 400, {"error": found})
        message = {"role": "assistant", **found}
        choice = {"index": 0, "finish_reason": message.pop("finish_reason", "stop"), "message": message}
        usage = {"prompt_tokens": 9, "completion_tokens": 3} | message.pop("usage", {})
        return self.reply(200, {"choices": [choice], "usage": usage})

    def do_GET(self):
        if self.server.dead:
            self.close_connection = True
            return
        self.reply(200, {"data": [{"id": "scripted"}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/chat/completions" and self.server.chat:
            return self.talk(body)
        if self.path == "/tokenize" and self.server.tokenizer:
            found = self.server.tokenizer.encode(body["prompt"], add_special_tokens=body["add_special_tokens"])
            return self.reply(200, {"tokens": found.ids})
        if self.path != "/v1/completions":
            return self.reply(404, {"error": "scripted"})
        if self.server.text and "echo" not in body:
            return self.reply(200, {"choices": [{"index": 0, "text": self.server.text(body), "finish_reason": "stop"}]})
        warming = isinstance(body["prompt"], str) or isinstance(body["prompt"][0], int)  # what is asked beforehand
        prompts = [body["prompt"]] if warming else body["prompt"]
        if self.server.key and self.headers["Authorization"] != f"Bearer {self.server.key}":
            return self.reply(401, {"error": "Unauthorized"})
        if self.server.hold and not warming:
            self.server.hold.wait(60)
        for prompt in prompts if not warming else ():
            if status := self.server.refuse(tuple(prompt)):
                return self.reply(status, {"error": "scripted"})
        with self.server.lock:
            if self.server.dead and not warming:
                self.close_connection = True
                return None
            if not warming:
                self.server.prompts += [tuple(prompt) for prompt in prompts]
        if self.server.without_logprobs:
            return self.reply(
                200, {"choices": [{"index": i, "text": "", "logprobs": None} for i in range(len(prompts))]}
            )
        choices = [choice(index, list(prompt)) for index, prompt in enumerate(prompts)]
        for prompt, found in zip(prompts, choices, strict=True):
            if tuple(prompt) == self.server.loses:
                found["logprobs"] = None
        return self.reply(200, {"choices": choices})


def choice(index, tokens):
    values = [-(hashlib.sha256(repr(tokens[: place + 1]).encode()).digest()[0] / 64) for place in range(len(tokens))]
    values.append(-0.5)  # the one generated token
    return {
        "index": index,
        "text": "",
        "logprobs": {
            "token_logprobs": [None, *values[1:]],
            "top_logprobs": [None, *({"x": value} for value in values[1:])],
        },
    }


@pytest.fixture(autouse=True)
def little_patience(monkeypatch):
    """Servers that are away stay away here; the child takes the parent's patience."""
    monkeypatch.setattr(patience, "SECONDS", 1.0)
    monkeypatch.setattr("helpers.serving.offers.PATIENCE_SECONDS", 1.0)


@pytest.fixture
def server():
    with Scripted() as scripted:
        thread = threading.Thread(target=scripted.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield scripted
        if scripted.hold:
            scripted.hold.set()
        scripted.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory):
    """One token for each byte."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tokenizer")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {word: number for number, word in enumerate(["<s>", "</s>", *alphabet])}
    bpe = Tokenizer(models.BPE(vocab=words, merges=[]))
    bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>").save_pretrained(folder)
    return folder


@pytest.fixture
def questions(tmp_path):
    """The project's own task with its first ten questions."""
    folder = tmp_path / "task"
    folder.mkdir()
    for name in ("task.yaml", "questions.py"):
        shutil.copy(OPS / name, folder / name)
    lines = (OPS / "ops_assistant.jsonl").read_text("utf-8").splitlines()[:ROWS]
    (folder / "ops_assistant.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


@pytest.fixture
def settings(questions):
    def make(**more):
        return Settings(**{"include_path": questions, "num_concurrent": 2, "batch_size": 8} | more)

    return make


@pytest.fixture
def endpoint(server, tokenizer):
    def make(**more):
        known = {
            "target": "existing",
            "url": server.url,
            "model": "scripted",
            "tokenizer": str(tokenizer),
            "max_model_len": 2048,
            "engine_version": "0.32.0",
            "hardware": Hardware(type="test", count=1),
            "digest": "sha256:" + "a" * 64,
            "digest_verified": False,
            "started": now(),
        }
        return Endpoint(**known | more)

    return make


@pytest.fixture
def measure(settings, endpoint, tmp_path, capsys, monkeypatch):
    """Measure in this process; returns the Evaluation or raises what the child reported."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    folder = tmp_path / "artifacts"
    folder.mkdir()

    def run(settings=settings(), endpoint=endpoint()):  # noqa: B008
        task, started = check_task(settings), now()
        code = harness.main(build_command(settings, endpoint, folder, task=task, offers=run.offers)[3:])
        lines = capsys.readouterr().out.splitlines()
        if code:
            failure = json.loads(lines[-1].removeprefix("FAILURE "))
            raise getattr(errors, failure["kind"])(failure["what"], do=failure["do"])
        return read_results(settings, endpoint, folder, task=task, started=started)

    run.folder, run.offers = folder, None
    return run
