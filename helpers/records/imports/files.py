"""Open what another tool wrote; what is cut short is told with file and line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from helpers.errors import InvalidResults, NotFound

DO = "Give the files as the tool wrote them, or run the tool again"
LONGEST = 41
TEXT = re.compile(r"[^a-z0-9_-]+")
OTHER_FORM = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError)


@contextmanager
def as_written(place: str, tool: str) -> Iterator[None]:
    """Refuse with its place what has another form than the tool gives it. Raises InvalidResults."""
    try:
        yield
    except OTHER_FORM as error:
        told = f"without {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:200]
        raise InvalidResults(f"{place}: is not as {tool} writes it: {told}", do=DO) from error


def content(path: Path) -> Any:
    """Return a JSON file's content, of JSON lines the first line's. Raises NotFound or InvalidResults."""
    try:
        if path.suffix == ".jsonl":
            return next((row for _, row in lines(path)), None)
        return from_json(path.read_bytes())
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}", do="Correct the path") from error
    except ValueError as error:
        raise InvalidResults(f"{path} is no whole JSON file: {error}", do=DO) from error


def contents(path: Path) -> list[Any]:
    """Return a file's content, or several where a tool appended one to the other, a line each. Raises as `content`."""
    try:
        return [content(path)]
    except InvalidResults:
        with path.open("rb") as file:
            first, second = file.readline(), file.readline()
        try:
            appended = bool(second.strip()) and isinstance(from_json(first), dict)
        except ValueError:
            appended = False
        if path.suffix == ".jsonl" or not appended:
            raise
    return [row for _, row in lines(path)]


def lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield the number and the content of each line.

    Raises NotFound where the file cannot be read, InvalidResults at a line that is cut short or no object.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}", do="Correct the path") from error
    with file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = from_json(line)
            except ValueError as error:
                raise InvalidResults(f"{path}, line {number}: is cut short or no JSON ({error})", do=DO) from error
            if not isinstance(row, dict):
                raise InvalidResults(f"{path}, line {number}: is no JSON object", do=DO)
            yield number, row


def short_name(text: str) -> str:
    """Return a text as a measurement's name: lower case, what is too long cut and told apart by a digest."""
    import hashlib

    name = TEXT.sub("-", text.lower()).strip("-_") or "measured"
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
