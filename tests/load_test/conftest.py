from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers.artifacts import Endpoint, Hardware, now
from helpers.load_test import Settings
from helpers.runtime.polling import wait_for
from helpers.serving.client import healthy

TTFT_MS, ITL_MS = 60.0, 8.0
TEMPLATE = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}{% endfor %}<|assistant|>"


def brief(**changes):
    """Settings of a sweep that takes seconds."""
    return Settings(
        **{
            "scale": 16 / 256,
            "sweep_size": 3,
            "max_seconds": 2,
            "min_requests": 4,
            "api": "chat",
            "max_concurrency": 4,
            "warmup": 2,
            "repeats": 0,
            **changes,
        }
    )


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory):
    """A folder with a small BPE tokenizer and a chat template, as models bring them."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    folder = tmp_path_factory.mktemp("tokenizer")
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "</s>", "<|user|>", "<|assistant|>"]
    texts = ["restart the pod and read its log", "which node does the service run on", "the quick brown fox"] * 20
    made.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, special_tokens=special)
    )
    made.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": TEMPLATE}))
    return folder


@dataclass
class MockServer:
    """`guidellm mock-server` as a process of its own."""

    url: str
    process: subprocess.Popen

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def start(log: Path, *options: str) -> MockServer:
    """A mock server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).parent / "guidellm"), "mock-server", "--port", str(port), "--model", "mock"]
    with log.open("wb") as file:
        process = subprocess.Popen([*command, *options], stdout=file, stderr=file, start_new_session=True)
    server = MockServer(f"http://127.0.0.1:{port}", process)
    wait_for(lambda: healthy(server.url), what="the mock server", do=f"read {log}", timeout=120, interval=0.2)
    return server


@pytest.fixture(scope="session")
def mock_server(tmp_path_factory):
    log = tmp_path_factory.mktemp("mock") / "server.log"
    server = start(log, "--ttft-ms", str(TTFT_MS), "--itl-ms", str(ITL_MS), "--output-tokens", "16")
    yield server
    server.kill()


@pytest.fixture
def own_server(tmp_path):
    """Start a mock server that a test may kill."""
    servers = []

    def begin(*options):
        servers.append(start(tmp_path / "server.log", *options))
        return servers[-1]

    yield begin
    for server in servers:
        server.kill()


def at(url, tokenizer, **changes):
    """The endpoint of a mock server."""
    values = {
        "target": "existing",
        "url": url,
        "model": "mock",
        "tokenizer": str(tokenizer),
        "max_model_len": 512,
        "engine": "mock",
        "engine_version": "1",
        "hardware": Hardware(type="cpu", count=2, memory_gib=4),
        "digest": "unknown",
        "digest_verified": False,
        "started": now(),
    }
    return Endpoint(**{**values, **changes})


@pytest.fixture
def endpoint(tokenizer):
    return lambda url="http://127.0.0.1:9", **changes: at(url, tokenizer, **changes)
