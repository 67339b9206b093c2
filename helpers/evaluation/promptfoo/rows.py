"""promptfoo's results as samples: each test is known by its prompt, variables and assertions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from helpers.artifacts import Sample, Status
from helpers.artifacts.canonical import digest

TOOL = "promptfoo"
PASSED, SCORE, ASSERTIONS = "passed", "score", "assertions"
FIELD = {PASSED: "success", SCORE: "score"}
ERROR = 2  # of failureReason: the request failed, or its provider
# An assertion that could not be judged is told as a failed one; by these reasons it is known.
GRADER = (
    "API call error", "Invalid regex pattern", "Could not extract JSON", "Custom function threw",
    "Python code execution failed", "Ruby code execution failed", "Webhook error", "Moderation API error",
    "Search rubric evaluation failed",
)  # fmt: skip
SAID = 160  # characters of a reason
Row = Mapping[str, Any]


def as_samples(rows: Sequence[Row], metric: str) -> list[Sample]:
    """Return a sample for each test; of one that was repeated the mean of its answers that count."""
    tests: dict[str, list[Row]] = {}
    for row in rows:
        asked = {"vars": row.get("vars"), "prompt": row["prompt"]["raw"], "assert": row["testCase"].get("assert")}
        tests.setdefault(digest(asked), []).append(row)
    return [_sample(key, same, metric) for key, same in tests.items()]


def graded(row: Row) -> Iterator[Mapping[str, Any]]:
    """Yield what became of each assertion of a test."""
    yield from (row.get("gradingResult") or {}).get("componentResults") or ()


def _sample(key: str, rows: Sequence[Row], metric: str) -> Sample:
    row, counted = rows[0], [row for row in rows if status(row)[0] == "answered"]
    found, why = status(counted[0] if counted else row)
    shown, test = (counted or rows)[0], row["testCase"]
    figures = {metric: [float(each[FIELD[metric]]) for each in counted], ASSERTIONS: [_share(each) for each in counted]}
    return Sample(
        id=key,
        digest=key,
        label=str(test.get("description") or key[7:19]),
        category=str((test.get("metadata") or {}).get("category") or TOOL),
        input=str(row["prompt"]["raw"]),
        expected="; ".join(str(each.get("value", each["type"])) for each in test.get("assert") or ()),
        output=_text(shown),
        scores={name: sum(values) / len(values) for name, values in figures.items() if values},
        status=found,
        why=why,
        latency_seconds=(shown.get("latencyMs") or 0) / 1000 or None,
        reusable=False,
    )


def _share(row: Row) -> float:
    """Return which share of the test's assertions passed; of a test without any, whether it passed."""
    passed = [bool(each["pass"]) for each in graded(row)] or [bool(row["success"])]
    return sum(passed) / len(passed)


def _text(row: Row) -> str:
    output = (row.get("response") or {}).get("output")
    return "" if output is None else str(output)


def status(row: Row) -> tuple[Status, str]:
    """Return what became of one answer; one that no grader could judge is none."""
    if row.get("failureReason") == ERROR:
        return "failed", str(row.get("error") or "the request failed")[:200]
    for each in (*graded(row), row.get("gradingResult") or {}):
        reason = str(each.get("reason") or "")
        if (each.get("metadata") or {}).get("graderError") or any(text in reason for text in GRADER):
            return "failed", f"no verdict: {' '.join(reason[:SAID].split())}"
    if not _text(row).strip():
        return "empty", "no text"
    if (row.get("response") or {}).get("finishReason") == "length":
        return "truncated", "cut off (finish_reason length)"
    return "answered", ""
