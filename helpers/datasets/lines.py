"""Lines of JSON, each checked as a row: the reader of every dataset."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from helpers.datasets.files import missing
from helpers.errors import InvalidDataset

BLANK = " \t\r"  # what a line without a value holds
SHOWN = 20  # faults in one message


def _spoken(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty")
    return value


Text = Annotated[str, AfterValidator(_spoken)]


class Row(BaseModel):
    """One line of a dataset; unknown fields are refused, and no value is converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Text = Field(description="names the row")
    category: Text = Field(description="results are shown by category")

    @property
    def text(self) -> str:
        """What must not occur twice in a file."""
        raise NotImplementedError


R = TypeVar("R", bound=Row)


class Faults:
    """What is wrong in one file, told all at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found: list[str] = []

    def add(self, line: int, reason: str, field: str = "") -> None:
        """Note a fault; `line` counts from 1."""
        self._found.append(f"line {line}{f', field {field}' if field else ''}: {reason}")

    def tell(self, do: str = "") -> None:
        """Raise InvalidDataset where there is a fault."""
        if self._found:
            more = len(self._found) - SHOWN
            told = "; ".join(self._found[:SHOWN]) + (f"; and {more} more" if more > 0 else "")
            rows = "this row" if len(self._found) == 1 else "these rows"
            raise InvalidDataset(f"{self.path}, {told}", do=do or f"Correct {rows}, then run again")


def load(path: Path, kind: type[R], text_field: str) -> list[R]:
    """Return all rows; raises InvalidDataset naming file, line and field of every bad row."""
    faults = Faults(path)
    rows: list[R] = []
    seen: dict[tuple[str, str], int] = {}
    for number, values in objects(path, faults):
        row = parse(number, values, kind, faults)
        if row is None:
            continue
        for field, value in (("id", row.id), (text_field, row.text.strip())):
            first = seen.setdefault((field, value), number)
            if first != number:
                faults.add(number, f"the same {field} stands in line {first}", field)
        rows.append(row)
    faults.tell()
    return rows


def objects(path: Path, faults: Faults) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line number and object of each line that is not blank.

    What is no object, or holds half a character, is a fault.

    Raises InvalidDataset where the file is missing, empty or not UTF-8.
    """
    for number, line in enumerate(text(path).split("\n"), start=1):
        if not line.strip(BLANK):
            continue
        try:
            values = json.loads(line)
        except json.JSONDecodeError as error:
            faults.add(number, f"not a JSON object: {error.msg} at column {error.colno}")
            continue
        except RecursionError:
            faults.add(number, "nested too deeply")
            continue
        if sound(number, values, faults):
            yield number, values


def sound(number: int, values: Any, faults: Faults) -> bool:
    """Return whether this is an object of whole characters; note a fault where not."""
    if not isinstance(values, dict):
        faults.add(number, "not a JSON object", "the whole line")
        return False
    halves = [field for field in values if not _whole([field, values[field]])]
    for field in halves:
        reason = "holds one half of a surrogate pair (\\ud800 to \\udfff), which is no character"
        faults.add(number, reason, field.encode("ascii", "backslashreplace").decode())
    return not halves


def text(path: Path) -> str:
    """Return what the file says, without a byte order mark and blank lines at its end.

    Raises InvalidDataset where the file is missing, empty or not UTF-8.
    """
    if not path.is_file():
        raise missing(path)
    raw = path.read_bytes()
    try:
        found = raw.decode("utf-8-sig").rstrip()
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InvalidDataset(f"{path}, line {line}: not UTF-8 ({error.reason})", do="Save the file as UTF-8") from error
    if not found:
        raise InvalidDataset(f"{path} is empty", do="Write one JSON object per line, as its README.md describes")
    return found


def _whole(values: Any) -> bool:
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def parse(number: int, values: dict[str, Any], kind: type[R], faults: Faults) -> R | None:
    """Return a row, or None with a fault for each field: what is wrong, and what the field is for."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        for one in error.errors():
            field = ".".join(str(part) for part in one["loc"])
            known = kind.model_fields.get(str(one["loc"][0])) if one["loc"] else None
            purpose = f" ({known.description})" if known and known.description else ""
            faults.add(number, one["msg"].removeprefix("Value error, ") + purpose, field or "the whole line")
    return None
