"""What a server makes of the schemas, tried before the rows are asked."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from helpers.artifacts import Endpoint
from helpers.errors import NotMeasurable
from helpers.evaluation.reply import replies
from helpers.evaluation.structured_output import schemas
from helpers.evaluation.structured_output.rows import Formatted
from helpers.serving import client, offers

TIMED = 24  # schemas of which the first use is timed
SHOWN = 20
TEXT, WORD = "Say hello.", "zq-17"
# No model says this word by itself.
OBEYED = {
    "type": "object", "properties": {"word": {"enum": [WORD]}}, "required": ["word"], "additionalProperties": False,
}  # fmt: skip


def response_format(schema: schemas.Schema) -> dict[str, Any]:
    """Return what a request says so that the server holds the answer to the schema."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def warnings(file: Path, rows: Mapping[int, Formatted]) -> list[str]:
    """Return a line for each kind of doubt that the schemas of a file raise, with lines and places."""
    found: dict[str, dict[str, str]] = {}
    for line, row in rows.items():
        for kind, place in schemas.doubts(row.shape):
            found.setdefault(kind, {}).setdefault(f"{json.dumps(row.shape)}{place}", f"line {line} ({place})")
    return [
        f"{file.name} has {schemas.DOUBTS[kind]}: {_few(list(places.values()), ', ')}" for kind, places in found.items()
    ]


def _few(items: list[str], between: str) -> str:
    more = len(items) - SHOWN
    return between.join(items[:SHOWN]) + (f"{between}and {more} more" if more > 0 else "")


def probe(
    file: Path, rows: Mapping[int, Formatted], endpoint: Endpoint, show: Callable[[str], object] = print
) -> list[float]:
    """Send one small request for each distinct schema; return the milliseconds by which first uses took longer.

    Those are of the first TIMED schemas: what the first request took beyond the same one again. Raises NotMeasurable
    for a server that refuses schemas, with all of them, or that ignores them, and EndpointUnreachable.
    """
    distinct: dict[str, tuple[int, Formatted]] = {}
    for line, row in rows.items():
        distinct.setdefault(json.dumps(row.shape), (line, row))
    show(f"{len(distinct)} schemas are tried on {endpoint.url}")
    refused, longer = list[str](), list[float]()
    with client.access(endpoint.auth):
        _obeyed(endpoint)
        for line, row in distinct.values():
            first, said = _use(endpoint, row)
            if said:
                refused.append(f"line {line} ({row.id}): {said}")
            elif len(longer) < TIMED:
                longer.append(first - _use(endpoint, row)[0])
    if refused:
        raise NotMeasurable(
            f"{endpoint.url} refuses {len(refused)} of {len(distinct)} schemas of {file}: {_few(refused, '; ')}",
            do="Take out what it does not know, or serve with another structured-outputs backend",
        )
    return longer


def _use(endpoint: Endpoint, row: Formatted) -> tuple[float, str]:
    """Return how many milliseconds one token took, and why the schema is refused."""
    began = time.monotonic()
    answer = _ask(endpoint, row.shape, 1)
    return 1000 * (time.monotonic() - began), "" if answer.status == 200 else f"{answer.status} {answer.said}"


def _ask(endpoint: Endpoint, schema: schemas.Schema, tokens: int) -> client.Answer:
    body = {"messages": [{"role": "user", "content": TEXT}], "temperature": 0, "max_tokens": tokens}
    more = {"model": endpoint.model, "response_format": response_format(schema)}
    answer = offers.ask(endpoint.url, offers.CHAT, body | more)
    if answer.status in client.UNAUTHORIZED:
        raise client.wrong_key(endpoint.url, answer)
    return answer


def _obeyed(endpoint: Endpoint) -> None:
    """Raise NotMeasurable where the server takes no schema, or says something else than the schema allows."""
    answer = _ask(endpoint, OBEYED, 64)
    if answer.status != 200:
        raise NotMeasurable(
            f"{endpoint.url} refuses response_format json_schema: {answer.status} {answer.said}",
            do="Serve the model with structured outputs, or leave this measurement out of the use case",
        )
    try:
        said = replies(answer.body, 0.0)[0]
    except (KeyError, IndexError, TypeError):
        return  # the rows will tell
    if said.status == "empty" or (said.lstrip().startswith("{") and (said.status == "truncated" or WORD in said)):
        return
    raise NotMeasurable(
        f"{endpoint.url} ignores response_format: where only {WORD!r} was allowed it answered {said[:80]!r}",
        do="Serve the model with structured outputs, or leave this measurement out of the use case",
    )
