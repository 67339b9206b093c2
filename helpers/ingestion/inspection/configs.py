"""One JSON file of a model: whether it can be read, what it would load, and the chat templates in it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

from helpers.errors import RefusedModel
from helpers.ingestion.findings import Finding
from helpers.ingestion.inspection.hooks import WATCHED, hooks, where
from helpers.ingestion.inspection.json_files import Value, values
from helpers.ingestion.inspection.opening import open_file
from helpers.ingestion.inspection.templates import Templates
from helpers.ingestion.policy import Policy

OBJECTS = frozenset(
    ("adapter_config.json", "config.json", "generation_config.json", "preprocessor_config.json",
     "processor_config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json")
)  # fmt: skip
TEMPLATES = frozenset(("chat_template", "chat_templates"))
TELLING = WATCHED | TEMPLATES
MOST = 50


def inspect_json(path: Path, name: str, policy: Policy, templates: Templates) -> Iterator[Finding]:
    """Yield what is wrong with one JSON file, at most 50 things."""
    yield from islice(_inspect(path, name, policy.limits.json_bytes, templates), MOST)


def _inspect(path: Path, name: str, limit: int, templates: Templates) -> Iterator[Finding]:
    try:
        for value in values(path, limit):
            if TELLING.isdisjoint(value.place):
                continue  # a tokenizer has more than a million values
            yield from (Finding(name, *hook) for hook in hooks(name, value))
            if _is_template(value):
                yield from templates.inspect(name, str(value.scalar), where(value.place))
    except RefusedModel as error:
        yield Finding(name, "json", "high", error.what, error.do)
        return
    if PurePosixPath(name).name in OBJECTS and not _is_object(path):
        yield Finding(name, "json", "high", "holds a list where an object belongs", "Export the file again")


def _is_template(value: Value) -> bool:
    """Return whether this is a chat template: a text of that name, or any text but the name in a list of them."""
    place, scalar = value
    return isinstance(scalar, str) and not TEMPLATES.isdisjoint(place) and place[-1] != "name"


def _is_object(path: Path) -> bool:
    with open_file(path) as file:
        return file.read(4096).lstrip().startswith(b"{")
