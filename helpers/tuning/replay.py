"""The parent's own answers to general prompts: mixed into the training, they keep what the model was before."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

BATCH = 16
PENALTY = 1.1  # on repetition, which a small model falls into without sampling
WHOLE = re.compile(r"(?<=[^\W\d])[.!?](?=\s|$)|\n")  # the end of a sentence or line; the dot of "2." is none


def answers(model: Any, tokenizer: Any, prompts: Sequence[tuple[str, int]]) -> list[str]:
    """Return the model's greedy answer to each prompt, of at most so many tokens, "" where it wrote no whole sentence.

    An answer that was cut off ends with its last whole sentence or line.
    """
    import torch

    found = []
    for begin in range(0, len(prompts), BATCH):
        part = prompts[begin : begin + BATCH]
        most = max(tokens for _, tokens in part)
        asked = [
            tokenizer.apply_chat_template(
                [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
            )
            for prompt, _ in part
        ]
        read = tokenizer(asked, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False)
        with torch.inference_mode():
            written = model.generate(
                **read.to(model.device), max_new_tokens=most, do_sample=False, repetition_penalty=PENALTY
            )
        for ids in written[:, read["input_ids"].shape[1] :].tolist():
            ended = any(token in _ends(model, tokenizer) for token in ids)
            text = tokenizer.decode(ids, skip_special_tokens=True).strip()
            found.append(text if ended else _whole(text))
    return found


def _whole(text: str) -> str:
    """Return a text up to its last whole sentence or line."""
    ends = [match.end() for match in WHOLE.finditer(text)]
    return text[: ends[-1]].strip() if ends else ""


def _ends(model: Any, tokenizer: Any) -> set[int]:
    """Return the ids that end an answer."""
    named = model.generation_config.eos_token_id
    return {tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])}
