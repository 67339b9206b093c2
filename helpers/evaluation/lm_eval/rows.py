"""lm-eval's own rows, which version 1 kept, as samples."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from helpers.artifacts import Sample, Status
from helpers.artifacts.sample import SCORED
from helpers.evaluation.journal import greedy, kept_of, name_of
from helpers.evaluation.lm_eval.scoring import FALLBACK, Measure
from helpers.evaluation.reply import Reply

Row = Mapping[str, Any]  # of lm-eval's own log
ASKED = ("question", "query", "prompt")  # fields that hold what is asked, without examples and template


def of_row(
    rows: Sequence[Row], measures: Sequence[Measure], status: Status = "answered", why: str = "", cluster: str = ""
) -> Sample:
    """Return the sample of one question from lm-eval's rows, one for each filter; the first measure is its score."""
    row = next(row for row in rows if row["filter"] == measures[0].filter)
    document, options, replies = row["doc"], _options(row), _replies(row)
    seconds = [each.seconds for answers in row["resps"] for each in answers if isinstance(each, Reply)]
    return Sample(
        id=f"{row['task']}/{row['doc_id']}",
        digest=row["doc_hash"],
        label=str(document.get("id", row["doc_id"])),
        # The category that the question names, else its task, which in a group is one of many.
        category=str(document.get("category") or document.get("subject") or row["task"]),
        cluster=cluster,
        input=str(next(filter(None, map(document.get, ASKED)), row["arguments"][0][0])),
        prompt=str(row["arguments"][0][0]),
        options=tuple(options),
        expected=_expected(row["target"], options),
        output=_output(row, options) if status != "failed" else "",
        scores=_scores(rows, measures) if status in SCORED else {},
        status=status,
        why=why,
        latency_seconds=math.fsum(seconds) / len(seconds) if seconds else None,
        replies=replies,
        reusable=all(len(answers) == 1 for answers in row["resps"]) and all(map(greedy, row["arguments"])),
    )


def _scores(rows: Sequence[Row], measures: Sequence[Measure]) -> dict[str, float]:
    """Return the score by each measure that gives this question one from 0 to 1."""
    of_filter = {row["filter"]: row for row in rows}
    found = {each.name: of_filter.get(each.filter, {}).get(each.metric) for each in measures}
    numbers = {name: float(value) for name, value in found.items() if isinstance(value, int | float)}
    return {name: value for name, value in numbers.items() if 0 <= value <= 1}


def _options(row: Row) -> list[str]:
    return [str(arguments[1]).strip() for arguments in row["arguments"] if isinstance(arguments[1], str)]


def _expected(target: Any, options: Sequence[str]) -> str:
    return options[target] if isinstance(target, int) and target < len(options) else str(target)


def _output(row: Row, options: Sequence[str]) -> str:
    """Return the generated text, or the option with the highest log-likelihood, which is what `acc` scores.

    Of a text the task's filter kept its answer; where it found none, the whole text says more.
    """
    answers = row["filtered_resps"]
    if isinstance(answers[0], str):
        return str(answers[0]) if answers[0] != FALLBACK else str(row.get("resps", [answers])[0][0]).strip()
    likelihoods = [float(answer[0]) for answer in answers]
    return options[likelihoods.index(max(likelihoods))] if options else str(answers[0])


def _replies(row: Row) -> dict[str, Any]:
    """Return what was answered by the digest of its request, as the journal names it; a repeat has its number."""
    found, seen = dict[str, Any](), Counter[str]()
    for arguments, answers in zip(row["arguments"], row.get("resps", ()), strict=False):
        for turn, answer in enumerate(answers):
            kept: Any
            if isinstance(answer, Reply):
                method, kept = "generate_until", kept_of(str(answer), answer.facts)
            elif isinstance(answer, tuple | list) and len(answer) == 2 and math.isfinite(answer[0]):
                method, kept = "loglikelihood", list(answer)
            else:
                continue
            name = name_of(method, arguments, turn)
            found[f"{name}.{seen[name]}" if seen[name] else name] = kept
            seen[name] += 1
    return found
