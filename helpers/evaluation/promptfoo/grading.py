"""The grader on answers that people have judged: how often it says the same, before it judges any others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from helpers.artifacts import Metric
from helpers.datasets.lines import Row, Text, load
from helpers.errors import EvaluationFailed
from helpers.evaluation.promptfoo import rows as results
from helpers.statistics import cohen_kappa, wilson

FILE = "labelled.jsonl"  # beside the suite's configuration
AGREEMENT = "grader_agreement"
TEMPLATES = ("{{", "{%", "{#")  # promptfoo fills in texts that hold these
SHOWN = 10  # rows by name on which they differ


class Labelled(Row):
    """An answer with what it was held against, and whether a person found it right."""

    prompt: Text = Field(description="what was asked, for whoever reads the file")
    output: Text
    rubric: Text
    label: Literal["pass", "fail"]

    @field_validator("output", "rubric")
    @classmethod
    def _as_it_is(cls, value: str) -> str:
        if value.startswith("file://") or any(each in value for each in TEMPLATES):
            raise ValueError("promptfoo would fill in {{…}} or {%…%}, or read file://: leave that out")
        return value

    @property
    def text(self) -> str:
        """The answer and its rubric."""
        return f"{self.output}\n{self.rubric}"


def labelled(config: Path) -> list[Labelled]:
    """Return the labelled answers beside a suite, none where it has none. Raises InvalidDataset with file and line."""
    path = config.with_name(FILE)
    return load(path, Labelled, "output") if path.is_file() else []


def suite(sample: Sequence[Labelled]) -> dict[str, Any]:
    """Return a suite whose provider says what it is asked, so that the grader judges just these answers."""
    tests = [
        {"vars": {"output": row.output}, "assert": [{"type": "llm-rubric", "value": row.rubric}]} for row in sample
    ]
    return {"prompts": ["{{output}}"], "providers": ["echo"], "tests": tests}


def agreement(
    sample: Sequence[Labelled], judged: Sequence[results.Row], confidence: float
) -> tuple[dict[str, Any], Metric]:
    """Return how the grader judged the sample, and the share on which it agrees; no verdict counts nowhere.

    Raises EvaluationFailed where it gave no verdict at all.
    """
    said = {row["testIdx"]: row for row in judged}
    verdicts, reasons = list[tuple[Labelled, str]](), list[str]()
    for place, row in enumerate(sample):
        status, why = results.status(said[place]) if place in said else ("failed", "it is missing in the report")
        if status == "answered":
            verdicts.append((row, "pass" if said[place]["success"] else "fail"))
        else:
            reasons.append(why)
    if not verdicts:
        raise EvaluationFailed(
            f"The grader gave no verdict on any of {len(sample)} labelled answers: {reasons[0]}",
            do="See whether GRADER_MODEL answers with JSON as promptfoo asks, at GRADER_URL and with GRADER_API_KEY",
        )
    labels, n = [row.label for row, _ in verdicts], len(verdicts)
    agreed = sum(row.label == verdict for row, verdict in verdicts)
    interval = wilson(agreed, n, confidence)
    counts = Counter(f"{row.label}, grader {verdict}" for row, verdict in verdicts)
    kappa = cohen_kappa(labels, [verdict for _, verdict in verdicts])
    table = {
        "n": n, "agreed": agreed, "failed": len(reasons), "kappa": kappa, "low": interval.low, "high": interval.high,
        "verdicts": dict(sorted(counts.items())),
        "differs": [row.id for row, verdict in verdicts if row.label != verdict][:SHOWN],
    }  # fmt: skip
    return table, Metric(name=AGREEMENT, value=agreed / n, n=n, kind="proportion", interval=interval)
