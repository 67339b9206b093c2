"""From handbook entries to training examples: a context and the continuation that is learned."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from helpers.datasets import HandbookEntry

GAP = "___"


class Example(NamedTuple):
    """What the model is given, and what it learns to say."""

    context: str
    continuation: str


def seen_topics(entries: Sequence[HandbookEntry], share: float, seed: int) -> list[str]:
    """Return a seeded choice of `share` of the topics, in alphabetical order."""
    topics = sorted({entry.topic for entry in entries})
    return sorted(random.Random(seed).sample(topics, max(1, round(share * len(topics)))))


def examples(entries: Sequence[HandbookEntry]) -> list[Example]:
    """Return every entry's questions, and its notes with the answer left out as further questions."""
    return [Example(ask(question), f" {entry.answer}") for entry in entries for question in _asked(entry)]


def ask(question: str) -> str:
    """Return the one form in which the models are asked: in training, by the chat template and by the task."""
    return f"Question: {question}\nAnswer:"


def _asked(entry: HandbookEntry) -> Iterator[str]:
    yield from entry.questions
    answer = re.sub(r"^(an?|the) ", "", entry.answer)
    pattern = re.compile(rf"(?<!\w)((an?|the) )?{re.escape(answer)}(?!\w)", re.IGNORECASE)
    for note in entry.notes:
        gapped, found = pattern.subn(GAP, note)
        if found:
            yield gapped
