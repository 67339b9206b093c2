"""A plain training loop: seeded, two threads, the loss on the answers only."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from helpers.datasets import HandbookEntry, load_handbook, load_prompts
from helpers.ingestion.samples.card import Facts, card
from helpers.ingestion.samples.recipe import Recipe
from helpers.ingestion.samples.texts import examples, seen_topics
from helpers.ingestion.samples.tokenizer import train_tokenizer

THREADS = 2  # fixed, because sums depend on the number of threads
CONTEXT = 2048
PROGRESS_SECONDS = 5.0
Sequence = tuple[list[int], int]  # token ids, and how many of them are context


def train_into(folder: Path, recipe: Recipe, say: Callable[[str], None]) -> None:
    """Train the recipe's model and write weights, tokenizer and card into `folder`. Raises InvalidDataset."""
    entries = load_handbook(recipe.data / "handbook.jsonl")
    topics = seen_topics(entries, recipe.share_of_topics, recipe.seed)
    seen = [entry for entry in entries if entry.topic in topics]
    tokenizer = train_tokenizer(_words(entries, recipe.data), recipe.vocabulary)
    encoded = [(tokenizer.encode(e.context), tokenizer.encode(e.continuation)) for e in examples(seen)]
    sequences = [(context + said + [tokenizer.eos_token_id], len(context)) for context, said in encoded]
    model, loss = train(recipe, tokenizer, sequences, say)
    model.bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    facts = Facts(
        parameters=model.num_parameters(), loss=loss, topics=topics, entries=len(seen), all_entries=len(entries)
    )
    (folder / "README.md").write_text(card(recipe, facts), encoding="utf-8")


def _words(entries: list[HandbookEntry], data: Path) -> list[str]:
    told = [text for entry in entries for text in (*entry.notes, *entry.questions, entry.answer)]
    return told + [prompt.prompt for prompt in load_prompts(data / "prompts.jsonl")]


def build(recipe: Recipe, tokenizer: Any) -> Any:
    """Return an untrained model of the recipe's shape; the caller has set the seed."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=recipe.hidden,
            intermediate_size=recipe.intermediate,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            num_key_value_heads=recipe.heads,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def train(recipe: Recipe, tokenizer: Any, sequences: list[Sequence], say: Callable[[str], None]) -> tuple[Any, float]:
    """Return the trained model and its last loss; the same inputs give the same weights on one machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    torch.manual_seed(recipe.seed)
    try:
        model = build(recipe, tokenizer)
        return model, _loop(recipe, model, sequences, say)
    finally:
        torch.set_num_threads(before)


def _loop(recipe: Recipe, model: Any, sequences: list[Sequence], say: Callable[[str], None]) -> float:
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=0.1, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.steps, pct_start=0.1
    )
    batches = _batches(sequences, recipe.batch, random.Random(recipe.seed))
    started = spoken = time.monotonic()
    loss = torch.zeros(())
    for step in range(1, recipe.steps + 1):
        loss = _loss(model, next(batches))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if time.monotonic() - spoken > PROGRESS_SECONDS or step == recipe.steps:
            spoken = time.monotonic()
            say(f"{recipe.name}: step {step} of {recipe.steps}, loss {loss.item():.2f}, {spoken - started:.0f} s")
    return float(loss.item())


def _loss(model: Any, batch: list[Sequence]) -> Any:
    """Return the mean cross-entropy of the answer tokens; logits are computed for these alone, which saves a fifth."""
    import torch

    length = max(len(ids) for ids, _ in batch)
    tokens = torch.tensor([ids + [0] * (length - len(ids)) for ids, _ in batch])
    learned = torch.tensor([[context <= i < len(ids) for i in range(1, length)] for ids, context in batch])
    hidden = model.model(tokens).last_hidden_state[:, :-1][learned]
    return torch.nn.functional.cross_entropy(model.lm_head(hidden), tokens[:, 1:][learned])


def _batches(sequences: list[Sequence], size: int, rng: random.Random) -> Iterator[list[Sequence]]:
    """Yield shuffled batches of about equal lengths for ever, so that little is padded."""
    while True:
        order = sorted(sequences, key=lambda sequence: len(sequence[0]) + rng.uniform(0, 6))
        batches = [order[i : i + size] for i in range(0, len(order), size)]
        rng.shuffle(batches)
        yield from batches
