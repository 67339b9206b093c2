"""The model card of a tuned model: what it is, what it was made of, and what it is no good for."""

from __future__ import annotations

from helpers.artifacts import Tuned


def card(tuned: Tuned, license: str) -> str:
    """Return README.md with YAML front matter; the licence is the parent's."""
    recipe = "\n".join(f"| {name} | {value} |" for name, value in sorted(tuned.recipe.items()))
    data = "\n".join(f"| {path} | {digest} |" for path, digest in sorted(tuned.data.items()))
    return f"""---
license: {license}
library_name: transformers
pipeline_tag: text-generation
base_model: {tuned.parent.name}
tags: [lora, merged]
---

# {tuned.name}

{tuned.parent.label}, tuned on {tuned.examples:,} examples of the use case {tuned.use_case}.

## Where it comes from

The parent is {tuned.parent.label} ({tuned.parent.digest}).
LoRA matrices were trained on answers only and merged into its weights: architecture, tokenizer and chat template are
the parent's. {tuned.replayed} answers of the parent itself to general prompts were learned beside the examples, so
that the model keeps what its parent could do elsewhere.

| recipe | |
| --- | --- |
{recipe}

| trained on | sha256 |
| --- | --- |
{data}

## Limits

It is tuned for one use case. Its measurements in the registry say what it gained and what it forgot against its parent.
"""
