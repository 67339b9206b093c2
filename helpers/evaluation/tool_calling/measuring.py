"""Ask every row, freely and with strict functions, and match the calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from helpers import datasets
from helpers.artifacts import Endpoint, Evaluation, Metric, Sample, now
from helpers.artifacts.canonical import canonical, digest
from helpers.errors import InvalidDataset
from helpers.evaluation import told
from helpers.evaluation.conversing import Body, Conversation, converse
from helpers.evaluation.files import named
from helpers.evaluation.reply import Reply
from helpers.evaluation.scored import measurement
from helpers.evaluation.tool_calling.matching import Call, Error, check
from helpers.evaluation.tool_calling.probing import probe, request
from helpers.evaluation.tool_calling.rows import ToolRow, read_rows, sources
from helpers.evaluation.tool_calling.settings import Settings
from helpers.runtime.partial import Guard
from helpers.statistics import compare, mean_of_scores

CALLED, STRICT, SILENT = Settings.metric, "strict_right", "silent_right"  # scores of a row
METHOD = "1"  # raise it when the matching changes: what was scored before is then measured again


def content(settings: Settings) -> Mapping[str, str]:
    """Return the digest of the rows, and of what stands beside BFCL's. Raises InvalidDataset, with file and line."""
    rows = _rows(settings)
    if not any(row.expected for row in rows):
        raise InvalidDataset(f"None of the first {len(rows)} rows of {settings.data} expects a call", do="Raise LIMIT")
    return {name: datasets.digest(path) for name, path in sources(_file(settings)).items()}


def versions() -> Mapping[str, str]:
    """Return the version of the matching, and of what checks the functions' schemas."""
    return {"tool_calling": METHOD, "jsonschema": version("jsonschema")}


def evaluate(
    settings: Settings,
    endpoint: Endpoint,
    folder: Path,
    *,
    known: Path | None = None,
    show: Callable[[str], object] = print,
    guard: Guard | None = None,
) -> Evaluation:
    """Ask each row once with `auto`, and those that expect a call once more with `required` and strict functions.

    Raises NotMeasurable before the rows are asked where the server or its chat template takes no functions, and what
    `converse` and `measurement` raise.
    """
    rows, started, names = _rows(settings), now(), named(settings.name, settings.evaluator)
    system = [{"role": "system", "content": settings.system_instruction}] if settings.system_instruction else []
    calling = next(row for row in rows if row.expected)
    if no_strict := probe(endpoint, calling, system):
        show(f"{endpoint.url} takes no strict functions ({no_strict}), so the rows are asked freely only.")
    bound = [] if no_strict else [row for row in rows if row.expected]
    bodies = [_body(row, system, settings, strict=False) for row in rows]
    bodies += [_body(row, system, settings, strict=True) for row in bound]
    asked = converse(bodies, settings, endpoint, folder, names, known=known, show=show, guard=guard)
    free, strict = asked.found[: len(rows)], asked.found[len(rows) :]
    answers = [_answer(row, each, settings) for row, each in zip(rows, free, strict=True)]
    again = {row.id: _answer(row, each, settings) for row, each in zip(bound, strict, strict=True)}
    samples = [_sample(row, answer, again.get(row.id)) for row, answer in zip(rows, answers, strict=True)]
    return measurement(
        samples, settings, endpoint, folder, names,
        tier="tools",
        dataset_digest=_digest(settings),
        started=started,
        versions=versions(),
        whole=len(read_rows(_file(settings))),
        seconds=asked.seconds,
        reasons=asked.reasons,
        others=list(_others(rows, answers, list(again.values()), settings.confidence)),
        detail=_tables(rows, answers, list(again.values()))
        | {told.PAIRED: _paired(rows, answers, again, settings.confidence)},
    )  # fmt: skip


def _digest(settings: Settings) -> str:
    """Return the digest of the data: the file's own where there is only one."""
    found = {name: datasets.digest(path) for name, path in sources(_file(settings)).items()}
    return digest(found) if len(found) > 1 else datasets.digest(_file(settings))


class _Answer(NamedTuple):
    """One conversation, judged."""

    said: Conversation
    status: str
    why: str  # it is no answer
    calls: str  # as a person reads them, or the text
    error: Error | None

    @property
    def right(self) -> float | None:
        """1 or 0, None for what is no answer."""
        return float(self.error is None) if self.status == "answered" else None


def _file(settings: Settings) -> Path:
    if settings.data is None:
        raise InvalidDataset("There are no rows to ask", do="Name them with DATA, or in the use case")
    return settings.data


def _rows(settings: Settings) -> list[ToolRow]:
    return list(islice(read_rows(_file(settings)), settings.limit or None))


def _body(row: ToolRow, system: list[dict[str, Any]], settings: Settings, *, strict: bool) -> Body:
    conversation = {"messages": [*system, *row.turns], "temperature": 0, "max_tokens": settings.max_tokens}
    return conversation | request(row, strict=strict)


def _answer(row: ToolRow, said: Conversation, settings: Settings) -> _Answer:
    reply = said.reply
    if reply is None:
        return _Answer(said, "failed", said.why, "", None)
    calls = [call.get("function") or {} for call in reply.tool_calls]
    shown = "\n".join(f"{call.get('name')}({call.get('arguments')})" for call in calls) or str(reply)
    if _cut(reply, settings.max_tokens):
        return _Answer(said, "truncated", f"cut off after {settings.max_tokens} tokens", shown, None)
    if reply.status != "answered":
        return _Answer(said, reply.status, reply.why, shown, None)
    return _Answer(said, "answered", "", shown, _error(row, calls, str(reply)))


def _cut(reply: Reply, most: int) -> bool:
    """Whether it was cut off; vLLM calls a call that was cut off whole (vllm#47761), so its tokens are looked at."""
    called = reply.finish_reason == "tool_calls" and reply.usage.get("completion_tokens", 0) >= most
    return called or reply.status == "truncated"


def _error(row: ToolRow, found: Sequence[Mapping[str, Any]], text: str) -> Error | None:
    if not row.expected:
        return Error.NOT_WANTED if found else None
    if not found and "{" in text and any(name in text for name in row.schemas):
        return Error.IN_TEXT
    calls: list[Call] = []
    for call in found:
        try:
            arguments = json.loads(call.get("arguments") or "{}")
        except ValueError:
            arguments = None
        if not isinstance(arguments, dict):
            return Error.NO_JSON
        calls.append((str(call.get("name")), arguments))
    wrong = check(row.schemas, calls, row.expected)
    return wrong.error if wrong else None


def _sample(row: ToolRow, free: _Answer, strict: _Answer | None) -> Sample:
    """One row; a request that failed, with strict functions too, leaves the row without an answer."""
    told = strict if strict and strict.status == "failed" else free
    scores = {CALLED if row.expected else SILENT: free.right}
    scores |= {STRICT: strict.right} if strict else {}
    return Sample(
        id=row.id,
        digest=row.digest,
        label=row.id,
        category=row.category,
        input=row.asked,
        prompt=json.dumps(free.said.body["messages"], ensure_ascii=False),
        expected=canonical({"calls": row.expected}).decode() if row.expected else "no call",
        output=free.calls,
        scores={name: score for name, score in scores.items() if score is not None} if told.right is not None else {},
        beside=not row.expected,
        status=told.status,  # type: ignore[arg-type]
        why=told.why,
        latency_seconds=free.said.reply.seconds if free.said.reply else None,
        replies=free.said.kept | (strict.said.kept if strict else {}),
    )


def _others(
    rows: Sequence[ToolRow], free: Sequence[_Answer], strict: Sequence[_Answer], confidence: float
) -> Iterable[Metric]:
    """Yield the figures that stand beside the score, each over its own rows."""
    silent = [answer for row, answer in zip(rows, free, strict=True) if not row.expected]
    for name, answers in ((STRICT, strict), (SILENT, silent)):
        if scores := [answer.right for answer in answers if answer.right is not None]:
            interval = mean_of_scores(scores, confidence, [])
            value = sum(scores) / len(scores)
            yield Metric(name=name, value=value, n=len(scores), kind="proportion", interval=interval)


def _paired(
    rows: Sequence[ToolRow], free: Sequence[_Answer], strict: Mapping[str, _Answer], confidence: float
) -> dict[str, Any]:
    """Return the test of strict calls against free ones, on the rows that were answered both ways."""
    both = [
        (strict[row.id].right, answer.right)
        for row, answer in zip(rows, free, strict=True)
        if row.id in strict and None not in (strict[row.id].right, answer.right)
    ]
    if not both:
        return {}
    bound, unbound = ([float(pair[way] or 0) for pair in both] for way in (0, 1))
    return {f"{STRICT} against {CALLED}": told.paired(compare(bound, unbound, confidence))}


def _tables(rows: Sequence[ToolRow], free: Sequence[_Answer], strict: Sequence[_Answer]) -> dict[str, Any]:
    """Return two tables, each with a column for either way to ask: errors by type, and right of n by category."""
    errors: dict[str, dict[str, int]] = {}
    categories: dict[str, dict[str, int]] = {}
    for way, asked, answers in (("auto", rows, free), ("strict", [row for row in rows if row.expected], strict)):
        for row, answer in zip(asked, answers, strict=bool(answers)):
            kind = str(answer.error or "right") if answer.right is not None else answer.status
            line, part = errors.setdefault(kind, {}), categories.setdefault(row.category, {})
            line[way] = line.get(way, 0) + 1
            part[f"{way}_n"] = part.get(f"{way}_n", 0) + (answer.right is not None)
            part[f"{way}_right"] = part.get(f"{way}_right", 0) + (answer.right == 1)
    return {"errors": errors, "categories": categories}
