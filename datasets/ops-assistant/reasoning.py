"""The questions beside this file with ten options each, and worked examples; works offline and when copied."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

LETTERS = "ABCDEFGHIJ"


def load(metadata: dict[str, Any] | None = None, **_: Any) -> dict[str, Any]:
    """Return the splits `test` and `examples`; the task's `metadata.seed` places the options.

    Six options are right answers to questions of the same category and another topic: none of them fits this one.
    """
    from datasets import Dataset

    place, seed = Path(__file__).parent, (metadata or {}).get("seed", 0)
    questions, examples = _rows(place / "ops_assistant.jsonl"), _rows(place / "reasoning_examples.jsonl")
    rows = [_lettered(row, _options(row, questions, seed), seed) for row in questions]
    worked = [_lettered(row, row["choices"], seed) | {"worked": row["worked"]} for row in examples]
    return {"test": Dataset.from_list(rows), "examples": Dataset.from_list(worked)}


def _rows(path: Path) -> list[dict[str, Any]]:
    # Not splitlines(): a text may hold U+2028 or U+0085. utf-8-sig drops a byte order mark.
    return [json.loads(line) for line in path.read_text(encoding="utf-8-sig").split("\n") if line.strip()]


def _options(row: dict[str, Any], questions: list[dict[str, Any]], seed: int) -> list[str]:
    """Return the question's own choices and as many others as ten options need."""
    others = {
        each["choices"][each["answer"]]: None
        for each in questions
        if each["category"] == row["category"] and each["topic"] != row["topic"]
    }
    further = [text for text in others if text not in row["choices"]]
    needed = len(LETTERS) - len(row["choices"])
    return [*row["choices"], *random.Random(f"{seed}/{row['id']}").sample(further, needed)]


def _lettered(row: dict[str, Any], options: list[str], seed: int) -> dict[str, Any]:
    """Return the question with its options in an order of its own."""
    right = options[row["answer"]]
    placed = random.Random(f"{row['id']}/{seed}").sample(options, len(options))
    letters = list(LETTERS[: len(placed)])
    return {
        "id": row["id"],
        "category": row["category"],
        "topic": row["topic"],
        "question": row["question"],
        "letters": letters,
        "lettered": "\n".join(f"({letter}) {text}" for letter, text in zip(letters, placed, strict=True)),
        "target": letters[placed.index(right)],
    }
