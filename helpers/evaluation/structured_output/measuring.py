"""From rows to a measurement: each asked unaided and held to its schema, all at once, and compared row by row."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TypeVar

from helpers.artifacts import Endpoint, Evaluation, Sample, Status, now
from helpers.datasets.files import digest
from helpers.evaluation import evaluator, scored
from helpers.evaluation.conversing import Body, converse
from helpers.evaluation.structured_output.answers import NO_JSON
from helpers.evaluation.structured_output.pairs import UNAIDED, Half, Pair, detail, ended, not_held, prices
from helpers.evaluation.structured_output.probing import probe, response_format, warnings
from helpers.evaluation.structured_output.rows import Formatted, load_rows
from helpers.evaluation.structured_output.settings import Settings
from helpers.runtime.partial import Guard

T = TypeVar("T")


def content(settings: Settings) -> dict[str, str]:
    """Return the digest of the rows' file; raises InvalidDataset naming file, line and field of every bad row."""
    load_rows(_file(settings))
    return {_file(settings).name: digest(_file(settings))}


def versions() -> dict[str, str]:
    """Return the version of what decides whether an answer is valid."""
    return {"jsonschema": version("jsonschema")}


def evaluate(
    settings: Settings,
    endpoint: Endpoint,
    folder: Path,
    *,
    known: Path | None = None,
    show: Callable[[str], object] = print,
    guard: Guard | None = None,
) -> Evaluation:
    """Ask every row twice and return the share of constrained answers that are valid by their schemas, with the rest.

    Raises InvalidDataset, NotMeasurable where the server refuses or ignores schemas, and as `converse` and
    `scored.measurement`.
    """
    started, file = now(), _file(settings)
    whole, names = load_rows(file), evaluator.files(settings.evaluator, settings.name)
    numbered = dict(islice(whole.items(), settings.limit or None))
    for line in warnings(file, numbered):
        show(line)
    first_uses, rows = probe(file, numbered, endpoint, show), list(numbered.values())
    # The one that is sent second may find the prompt in the server's cache: the constrained one is, every other time.
    bodies = [body for place, row in enumerate(rows) for body in _turned(_bodies(row, settings), place)]
    talk = converse(bodies, settings, endpoint, folder, names, known=known, show=show, guard=guard)
    pairs = []
    for place, row in enumerate(rows):
        unaided, constrained = _turned(talk.found[2 * place : 2 * place + 2], place)
        pairs.append(Pair(row, Half.of(row, unaided, bare=False), Half.of(row, constrained, bare=True)))
    for line in not_held(pairs):
        show(line)
    return scored.measurement(
        [_sample(pair) for pair in pairs], settings, endpoint, folder, names,
        tier="format", dataset_digest=digest(file), started=started, versions=versions(), whole=len(whole),
        seconds=talk.seconds, reasons=talk.reasons,
        others=(ended(pairs, settings.confidence), *prices(pairs, first_uses)),
        detail=detail(pairs, settings.confidence),
    )  # fmt: skip


def _file(settings: Settings) -> Path:
    assert settings.data is not None, "a use case names the rows, or `unwanted` says why there are none"
    return settings.data


def _turned(pair: list[T], place: int) -> list[T]:
    """Return the two as they are sent at an even place, the other way round at an odd one."""
    return pair[::-1] if place % 2 else pair


def _bodies(row: Formatted, settings: Settings) -> list[Body]:
    """Return the unaided and the constrained request."""
    system = row.system or settings.system_instruction
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": row.prompt})
    body = {"messages": messages, "temperature": 0.0, "max_tokens": settings.max_tokens}
    return [body, body | {"response_format": response_format(row.shape)}]


def _sample(pair: Pair) -> Sample:
    """Return the row's sample: what the constrained answer became, and both answers' scores.

    Where only the unaided answer is none, the row counts without unaided scores. Where either request failed the row
    failed, so that it is asked again.
    """
    row, (free, unaided), (held, constrained) = pair
    reply, scores = held.reply, dict[str, float]()
    status: Status = "failed" if reply is None or free.reply is None else reply.status
    if constrained and status == "answered":
        status = "unparsed" if constrained.form == NO_JSON else status
        scores = constrained.scores() | (unaided.scores(UNAIDED) if unaided else {})
    return Sample(
        id=row.id,
        digest=row.digest,
        label=row.id,
        category=row.category,
        input=row.prompt,
        prompt=json.dumps(held.body["messages"], ensure_ascii=False),
        expected=json.dumps(row.fields, ensure_ascii=False) if row.fields else "",
        output="" if reply is None else str(reply),
        scores=scores,
        status=status,
        why=held.why or free.why or ("" if scores or reply is None else reply.why),
        latency_seconds=None if reply is None else reply.seconds,
        replies=held.kept | free.kept,
    )
