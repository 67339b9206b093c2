"""The use case's prompts and questions, every row checked before anything is started."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from helpers.errors import InvalidDataset


def _spoken(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty")
    return value


Text = Annotated[str, AfterValidator(_spoken)]


class Row(BaseModel):
    """One line of a dataset; unknown fields are refused, and no value is converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Text
    category: Text

    @property
    def text(self) -> str:
        """What must not occur twice in a file."""
        raise NotImplementedError


class Prompt(Row):
    """A request as a user of the assistant writes it."""

    prompt: Text
    output_tokens: int = Field(gt=0, description="how long an answer should be, in tokens")

    @property
    def text(self) -> str:
        """The request."""
        return self.prompt


class Question(Row):
    """A question with four choices, one of which is right."""

    question: Text
    choices: list[Text] = Field(min_length=4, max_length=4)
    answer: int = Field(ge=0, le=3, description="index of the right choice")

    @property
    def text(self) -> str:
        """The question without its choices."""
        return self.question


class HandbookEntry(Row):
    """One fact of the handbook that the sample models are trained on, worded several times."""

    topic: Text
    questions: list[Text] = Field(min_length=1)
    answer: Text
    notes: list[Text] = Field(min_length=1)

    @property
    def text(self) -> str:
        """The first note."""
        return self.notes[0]


R = TypeVar("R", bound=Row)


def load_prompts(path: Path) -> list[Prompt]:
    """Return all prompts; raises InvalidDataset naming file, line and field of the first bad row."""
    return _load(path, Prompt, "prompt")


def load_questions(path: Path) -> list[Question]:
    """Return all questions; raises InvalidDataset naming file, line and field of the first bad row."""
    return _load(path, Question, "question")


def load_handbook(path: Path) -> list[HandbookEntry]:
    """Return all entries of the handbook; raises InvalidDataset naming file, line and field of the first bad row."""
    return _load(path, HandbookEntry, "notes")


def digest(path: Path) -> str:
    """Return `sha256:…` over a file's bytes, or over the names and digests of a folder's files (caches left out)."""
    if path.is_file():
        return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    if not path.is_dir():
        raise _missing(path)
    listing = "".join(f"{file.relative_to(path).as_posix()}\0{digest(file)}\n" for file in _files(path))
    return f"sha256:{hashlib.sha256(listing.encode()).hexdigest()}"


def _files(folder: Path) -> list[Path]:
    caches = {"__pycache__", ".ipynb_checkpoints"}
    return sorted(f for f in folder.rglob("*") if f.is_file() and caches.isdisjoint(f.relative_to(folder).parts))


def _load(path: Path, kind: type[R], text_field: str) -> list[R]:
    rows: list[R] = []
    seen: dict[tuple[str, str], int] = {}
    for number, line in enumerate(_lines(path), start=1):
        row = _parse(path, number, line, kind)
        for field, value in (("id", row.id), (text_field, row.text.strip())):
            first = seen.setdefault((field, value), number)
            if first != number:
                raise _bad(path, number, field, f"the same {field} stands in line {first}")
        rows.append(row)
    return rows


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise _missing(path)
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InvalidDataset(f"{path}, line {line}: not UTF-8 ({error.reason})", do="Save the file as UTF-8") from error
    if not text.strip():
        raise InvalidDataset(f"{path} is empty", do="Write one JSON object per line, as its README.md describes")
    return text.removesuffix("\n").split("\n")


def _parse(path: Path, number: int, line: str, kind: type[R]) -> R:
    try:
        values: Any = json.loads(line)
    except json.JSONDecodeError as error:
        reason = f"not a JSON object: {error.msg} at column {error.colno}"
        raise InvalidDataset(f"{path}, line {number}: {reason}", do="Write one JSON object per line") from error
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole line"
        raise _bad(path, number, field, first["msg"]) from error


def _bad(path: Path, number: int, field: str, reason: str) -> InvalidDataset:
    return InvalidDataset(f"{path}, line {number}, field {field}: {reason}", do="Correct this row, then run again")


def _missing(path: Path) -> InvalidDataset:
    return InvalidDataset(f"{path} is not there", do="Check the path, or restore the file from the repository")
