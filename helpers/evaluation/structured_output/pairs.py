"""One row's two answers, and the figures that follow from many such pairs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from helpers.artifacts import Metric
from helpers.evaluation import told
from helpers.evaluation.conversing import Conversation
from helpers.evaluation.structured_output import answers
from helpers.evaluation.structured_output.answers import VALID, Answer
from helpers.evaluation.structured_output.rows import Formatted
from helpers.statistics import compare, wilson

UNAIDED = "unaided_"
NONE = {"truncated": "cut off", "empty": "without text", "failed": "failed"}


class Half(NamedTuple):
    """One answer; one that is none was not judged."""

    talk: Conversation
    answer: Answer | None

    @classmethod
    def of(cls, row: Formatted, talk: Conversation, *, bare: bool) -> Half:
        """Return the answer with what is in it."""
        if talk.reply is None or talk.reply.status != "answered":
            return cls(talk, None)
        return cls(talk, answers.judge(talk.reply, row.shape, row.fields, bare=bare))

    @property
    def became(self) -> str:
        """VALID, what is wrong with it, or why it is none."""
        reply = self.talk.reply
        return self.answer.kind if self.answer else NONE["failed" if reply is None else reply.status]

    @property
    def per_token(self) -> float | None:
        """Milliseconds per token; None where that is not known, or was measured another time."""
        reply = self.talk.reply
        if reply is None or self.talk.reused or not (tokens := reply.usage.get("completion_tokens")):
            return None
        return 1000 * reply.seconds / tokens


class Pair(NamedTuple):
    """A row with its unaided and its constrained answer."""

    row: Formatted
    unaided: Half
    constrained: Half


def detail(pairs: Sequence[Pair], confidence: float) -> dict[str, Any]:
    """Return what became of the answers of each kind, in what form unaided JSON came, and the paired tests."""
    both = [
        (pair.constrained.answer.scores(), pair.unaided.answer.scores())
        for pair in pairs
        if pair.constrained.answer and pair.unaided.answer
    ]
    tests = {}
    for name in ("schema_valid", "fields"):
        first, second = [a[name] for a, _ in both if name in a], [b[name] for _, b in both if name in b]
        if first:
            tests[f"{name} against {UNAIDED}{name}"] = told.paired(compare(first, second, confidence))
    return {
        "constrained": dict(Counter(pair.constrained.became for pair in pairs)),
        "unaided": dict(Counter(pair.unaided.became for pair in pairs)),
        "unaided form": dict(Counter(pair.unaided.answer.form for pair in pairs if pair.unaided.answer)),
        told.PAIRED: tests,
    }


def not_held(pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield a line where answers ended and break the schemas that the server was to hold them to."""
    broken = Counter(half.became for _, _, half in pairs if half.answer and half.answer.kind != VALID)
    if broken:
        kinds = ", ".join(f"{kind} ({count})" for kind, count in broken.most_common())
        yield f"The server did not hold {broken.total()} constrained answers, which ended, to their schemas: {kinds}"


def ended(pairs: Sequence[Pair], confidence: float) -> Metric:
    """Return the share of unaided answers that are some; only they have scores."""
    count = sum(pair.unaided.answer is not None for pair in pairs)
    name, interval = f"{UNAIDED}ended", wilson(count, len(pairs), confidence)
    return Metric(name=name, value=count / len(pairs), n=len(pairs), kind="proportion", interval=interval)


def prices(pairs: Sequence[Pair], first_uses: Sequence[float]) -> Iterator[Metric]:
    """Yield milliseconds per token of each kind, prompt and queue included, and what a schema's first use adds.

    Only what was asked now counts, all of it under one load: there is no interval, which takes several runs.
    """
    figures = {
        "ms_per_token": [pair.constrained.per_token for pair in pairs],
        f"{UNAIDED}ms_per_token": [pair.unaided.per_token for pair in pairs],
        "schema_first_use": first_uses,
    }
    for name, values in figures.items():
        known = [value for value in values if value is not None]
        if known:
            mean = math.fsum(known) / len(known)
            yield Metric(name=name, value=mean, unit="ms", better="lower", n=len(known), kind="mean")
