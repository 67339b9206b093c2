"""The texts of a use case as they are held against each other, read from rows in anybody's format."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from helpers.artifacts.dataset import Role
from helpers.datasets.lines import Faults
from helpers.datasets.lines import text as read_text
from helpers.datasets.prompts import CONVERSATIONS, READERS, REQUESTS

WORD = re.compile(r"\w+")
PARAGRAPH = re.compile(r"\n\s*\n")
PROSE = (".md", ".txt", ".rst", ".adoc")  # documents: a paragraph is a passage
READABLE = (*READERS, *PROSE)
OPTIONS = ("choices", "options")
RIGHT = ("answer", "expected", "target", "label", "output", "completion", "fields")
CONTEXT = ("context", "passage", "input")  # what a question is about, before it
HELD_TO = ("schema", "functions", "tools")
ABOUT = {"id", "category", "topic", "subject", "source", "answer"}  # of a document's row: no passage of their own
FIRST = ("question", *REQUESTS)  # a row with a question asks that, whatever else stands in it


class Text(NamedTuple):
    """One row that is asked or sent, or one passage of a document."""

    id: str
    where: str  # file:line
    category: str
    text: str
    options: tuple[str, ...] = ()
    right: str = ""  # the right answer, "" where the row says none
    beside: str = ""  # the schema or functions that the answer is held to

    @property
    def words(self) -> list[str]:
        """The words that count: without case and punctuation."""
        return words(self.text)


class Texts(NamedTuple):
    """A set of texts with a name: an evaluation's questions, a workload's prompts, a file of examples or documents."""

    name: str
    role: Role
    files: tuple[Path, ...]
    rows: list[Text]


def words(text: str) -> list[str]:
    """Return the words of a text, without case and punctuation."""
    return WORD.findall(text.casefold())


def read(path: Path, role: Role, name: str) -> list[Text]:
    """Return the texts of a file, `name` in their places. Raises InvalidDataset with file and line of what is wrong."""
    if path.suffix.lower() in PROSE and (role == "documents" or path.suffix.lower() not in READERS):
        return list(_paragraphs(path, name))
    faults = Faults(path)
    made = _passages if role == "documents" else _row
    rows = enumerate(READERS[path.suffix.lower()](path, faults))
    found = [text for place, (line, row) in rows for text in made(row, str(place), f"{name}:{line}")]
    faults.tell()
    return found


def _paragraphs(path: Path, name: str) -> Iterator[Text]:
    content, number, begin = read_text(path), 1, 0
    for end, after in [
        *((gap.start(), gap.end()) for gap in PARAGRAPH.finditer(content)),
        (len(content), len(content)),
    ]:
        if paragraph := content[begin:end].strip():
            yield Text(f"{path.stem}-{number}", f"{name}:{number}", path.stem, paragraph)
        number, begin = number + content.count("\n", begin, after), after


def _row(row: Mapping[str, Any], place: str, where: str) -> Iterator[Text]:
    """Yield what one row asks, with its options and the right answer where it says them.

    A row without an id is called by its place, counted from 0, as lm-eval calls it.
    """
    options: list[str] = next((row[field] for field in OPTIONS if _texts(row.get(field))), [])
    yield Text(
        id=str(row.get("id") or place),
        where=where,
        category=str(row.get("category") or row.get("subject") or ""),
        text=_asked(row),
        options=tuple(options),
        right=_right(row, options),
        beside=json.dumps([row[field] for field in HELD_TO if field in row], sort_keys=True),
    )


def _passages(row: Mapping[str, Any], place: str, where: str) -> Iterator[Text]:
    """Yield each text of a document's row; what it asks comes with the answer, a turn with its reply."""
    identity, category = str(row.get("id") or place), str(row.get("category") or "")
    for field, value in row.items():
        if field in CONVERSATIONS and isinstance(value, list):
            turns = [
                "\n".join(_strings(turn.get("content", turn.get("value")))) for turn in value if isinstance(turn, dict)
            ]
            for turn, reply in zip(turns, [*turns[1:], ""], strict=True):
                yield Text(identity, where, category, turn, (), reply)
        elif field not in ABOUT:
            asks = field.rstrip("s") in FIRST
            for passage in _strings(value):
                yield Text(identity, where, category, passage, (), _right(row, ()) if asks else "")


def _asked(row: Mapping[str, Any]) -> str:
    if field := next((field for field in FIRST if isinstance(row.get(field), str)), ""):
        named = [*(each for each in CONTEXT if each != field), field]
        return "\n".join(value for each in named if isinstance(value := row.get(each), str) and value.strip())
    for field in CONVERSATIONS:
        if isinstance(turns := row.get(field), list):
            said = [turn for turn in turns if isinstance(turn, dict)]
            last = [turn for turn in said if turn.get("role", turn.get("from")) in ("user", "human")]
            return "\n".join(_strings((last or said or [{}])[-1].get("content", "")))
    return "\n".join(value for field, value in row.items() if isinstance(value, str) and field not in ABOUT)


def _right(row: Mapping[str, Any], options: Iterable[str]) -> str:
    """Return the right answer as text, "" where the row says none."""
    value = next((row[field] for field in RIGHT if row.get(field) not in (None, "")), None)
    known = list(options)
    if known and isinstance(value, int) and 0 <= value < len(known):
        return known[value]
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value) and bool(value)


def _strings(value: Any) -> Iterator[str]:
    """Yield every text in a value, however deep; what names the speaker of a turn is none."""
    if isinstance(value, str):
        if value.strip():
            yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for field, item in value.items():
            if field not in ("role", "from"):
                yield from _strings(item)
