"""What an answer to a general prompt must have, whatever the words: a term, so many items, or so many words."""

from __future__ import annotations

import re
from typing import Any

READ = 700  # characters of an answer that are looked at
ITEM = re.compile(r"^\s*(?:[-*\u2022]|\d+[.):]|[A-Z][.)])\s*\S", re.MULTILINE)
WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")


def has(text: str, term: str) -> bool:
    """Return whether a term stands in a text as a word of its own, or as several."""
    return bool(re.search(rf"(?<!\w){re.escape(term)}(?!\w)", text, re.IGNORECASE))


def items(text: str) -> int:
    """Return how many things a text lists: marked lines, or else parts between commas and the last `and`."""
    marked = len(ITEM.findall(text))
    first = re.split(r"(?<=[.!?])\s", text.strip())[0] if text.strip() else ""
    spoken = [part for part in re.split(r",\s*(?:and\s+)?|\s+and\s+", first.partition(":")[2] or first) if part.strip()]
    return max(marked, len(spoken) if len(spoken) > 1 else 0)


def kept(doc: dict[str, Any], results: list[str]) -> dict[str, int]:
    """Return whether an answer passes its row's check."""
    text, check = results[0][:READ], {name: value for name, value in doc["check"].items() if value is not None}
    passed = {
        "any": lambda wanted: any(has(text, term) for term in wanted),
        "all": lambda wanted: all(has(text, term) for term in wanted),
        "items": lambda least: items(text) >= least,
        "words": lambda least: len(WORD.findall(text)) >= least,
    }
    return {"acc": int(all(passed[name](value) for name, value in check.items()))}
