"""One JSON file of a model: whether it can be read, what it would load, and the chat templates in it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

from helpers.errors import RefusedModel
from helpers.ingestion.findings import Finding
from helpers.ingestion.inspection.hooks import hooks, where
from helpers.ingestion.inspection.json_files import Value, values
from helpers.ingestion.inspection.opening import open_file
from helpers.ingestion.policy import Policy

OBJECTS = frozenset(
    ("adapter_config.json", "config.json", "generation_config.json", "preprocessor_config.json",
     "processor_config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json")
)  # fmt: skip
TEMPLATES = frozenset(("chat_template", "chat_templates"))
MOST = 50


def inspect_json(path: Path, name: str, policy: Policy) -> Iterator[Finding]:
    """Yield what is wrong with one JSON file, at most 50 things."""
    yield from islice(_inspect(path, name, policy.limits.json_bytes), MOST)


def _inspect(path: Path, name: str, limit: int) -> Iterator[Finding]:
    try:
        for value in values(path, limit):
            yield from (Finding(name, *hook) for hook in hooks(name, value))
            yield from _template(name, value)
    except RefusedModel as error:
        yield Finding(name, "json", "high", error.what, error.do)
        return
    if PurePosixPath(name).name in OBJECTS and not _is_object(path):
        yield Finding(name, "json", "high", "holds a list where an object belongs", "Export the file again")


def _template(name: str, value: Value) -> Iterator[Finding]:
    """Yield what is wrong with a chat template: a text, or the texts in a list or object of that name."""
    place, scalar = value
    if isinstance(scalar, str) and not TEMPLATES.isdisjoint(place) and place[-1] != "name":
        from helpers.ingestion.inspection.templates import inspect_template

        yield from inspect_template(name, scalar, where(place))


def _is_object(path: Path) -> bool:
    with open_file(path) as file:
        return file.read(4096).lstrip().startswith(b"{")
