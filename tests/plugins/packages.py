"""Small models as the gate has them in hand: a folder, hashed, and sealed with this machine's key."""

from __future__ import annotations

from pathlib import Path

from helpers.ingestion.digests import hash_folder
from helpers.ingestion.policy import Policy, load_policy
from helpers.ingestion.publication import kept
from helpers.ingestion.sealing import Package, seal
from helpers.runtime.workspace import ROOT

FACTS = {
    "name": "tiny", "version": "1.0.0", "license": "apache-2.0", "source": "hf://org/tiny", "commit": "c" * 40,
    "policy_digest": "sha256:" + "0" * 64, "scanners": '{"modelscan": "0.8.8"}', "ingested_by": "ops",
    "ingested_at": "2026-11-02T09:30:00Z",
}  # fmt: skip


def shipped_policy(**signature: str) -> Policy:
    """Return the policy that is shipped, with another signature rule, and images from any registry."""
    policy = load_policy(ROOT / "pipelines" / "policy.yaml")
    changed = {"signature": policy.signature.model_copy(update=signature)}
    return policy.model_copy(update=changed | {"sources": policy.sources.model_copy(update={"registries": ("*",)})})


def model_folder(folder: Path, shard: int = 1000) -> Path:
    """Write what a sharded model has: two large files, small ones, one in a folder below."""
    (folder / "tokenizer").mkdir(parents=True)
    for number in (1, 2):
        (folder / f"model-0000{number}-of-00002.safetensors").write_bytes(bytes([number]) * shard)
    (folder / "config.json").write_text("{}")
    (folder / "LICENSE").write_text("Apache License, Version 2.0")
    (folder / "tokenizer" / "vocab.txt").write_text("a\nb\n")
    return folder


def package(folder: Path, shard: int = 1000, policy: Policy | None = None, store: str = "", **facts: str) -> Package:
    """Write a model and seal it for that store; without one, as it was done before stores kept checksums."""
    model_folder(folder, shard)
    sums = hash_folder(folder)
    return seal(folder, sums, FACTS | facts, policy or shipped_policy(), kept(folder, sums, store))
