"""A tiny Llama with random weights and a real tokenizer: serves and answers, knows nothing."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import ingestion, serving, storage
from helpers.artifacts import Endpoint, Selection
from helpers.ingestion.copying import copy_hashed
from helpers.ingestion.policy import load_policy
from helpers.ingestion.publication import publish
from helpers.ingestion.sealing import seal
from helpers.runtime import processes
from helpers.runtime.workspace import ROOT, home

POLICY = ROOT / "pipelines" / "policy.yaml"
CRITERIA = ROOT / "datasets" / "ops-assistant" / "criteria.yaml"
BASELINE = ROOT / "datasets" / "baseline" / "criteria.yaml"
PRICES = ROOT / "pipelines" / "prices.yaml"

TEXT = ["Restart the pod in the namespace, then read its log.", "The node is not ready: drain it and look at kubelet."]
CHAT = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant: "


def make_tiny_model(folder: Path) -> Path:
    """Write a model of about half a million random weights and return its folder."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet, special = pre_tokenizers.ByteLevel.alphabet(), ["<pad>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(TEXT * 20, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, pad_token="<pad>", bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = CHAT
    size = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4}
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=2048, **size, **tokens)
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n\n# Tiny\n\nRandom weights for tests.\n")
    return folder


def select(folder: Path, **changes: object) -> Selection:
    """Return the selection of a model that was signed and published as the gate does it, and that no registry knows."""
    named = {"name": "tiny", "version": "1"} | {key: str(value) for key, value in changes.items()}
    facts = {"name": named["name"], "version": named["version"], "license": "mit", "source": folder.as_uri()}
    incoming = home() / "incoming" / uuid.uuid4().hex
    sums = copy_hashed(folder, incoming)
    package = seal(incoming, sums, facts | {"ingested_at": "2026-01-01T00:00:00Z"}, load_policy(POLICY))
    selected = {
        "name": named["name"], "version": named["version"], "uri": publish(package, storage.resolve("local")),
        "digest": package.digest, "size_bytes": ingestion.size_bytes(folder), "registry": "http://registry.invalid",
        "registered_model_id": "1", "model_version_id": "2", "model_artifact_id": "3",
    }  # fmt: skip
    return Selection(**selected | changes)


def serve_settings(**changes: object) -> serving.Settings:
    """Return settings for serving under the policy that is shipped."""
    return serving.Settings(**{"policy": POLICY} | changes)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model's folder; a test that changes it copies it first."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def tiny_endpoint(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """The tiny model behind a real vLLM of the test's own; the test's folder is the working folder."""
    monkeypatch.chdir(tmp_path)
    yield serving.deploy(select(tiny_model), serve_settings())
    for running in processes.all_running():
        processes.end(running)
