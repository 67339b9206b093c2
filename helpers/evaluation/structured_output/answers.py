"""What is in an answer: JSON or none, valid by its schema or not, with the expected values or others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

from jsonschema.exceptions import best_match
from jsonschema.validators import Draft202012Validator

from helpers.evaluation.structured_output import schemas

FENCED = re.compile(r"```[A-Za-z]*\s*\n(.*?)```", re.DOTALL)
MISSING = object()
VALID, NO_JSON = "valid", "no JSON"


class Answer(NamedTuple):
    """One answer as it was read."""

    form: str  # bare, fenced or embedded; NO_JSON
    kind: str  # VALID, NO_JSON, or the keyword of the schema that it breaks
    fields: float | None  # share of the expected values that it holds; None where none are expected

    def scores(self, prefix: str = "") -> dict[str, float]:
        """Return its scores by name."""
        found = {"schema_valid": self.kind == VALID, "valid_json": self.form != NO_JSON, "fields": self.fields}
        return {f"{prefix}{name}": float(value) for name, value in found.items() if value is not None}


def judge(text: str, schema: schemas.Schema, expected: Mapping[str, Any], *, bare: bool) -> Answer:
    """Return what is in a text; `bare`: the whole text has to be the JSON, as an application may rely on.

    Otherwise the JSON may also stand in a fence or among words: the first object or array that is whole.
    """
    form, value = next(_read(text, bare), (NO_JSON, MISSING))
    kind = NO_JSON
    if form != NO_JSON:
        error = best_match(schemas.validator(schema).iter_errors(value))
        kind = str(error.validator) if error else VALID
    right = [_same(wanted, _at(value, name)) for name, wanted in expected.items()]
    return Answer(form, kind, sum(right) / len(right) if right else None)


def _read(text: str, bare: bool) -> Iterator[tuple[str, Any]]:
    candidates = [("bare", text)] if bare else [("bare", text), *(("fenced", part) for part in FENCED.findall(text))]
    for form, part in candidates:
        try:
            yield form, DECODER.decode(part.strip())
        except (ValueError, RecursionError):
            continue
    for start in () if bare else (found.start() for found in re.finditer(r"[{\[]", text)):
        try:
            yield "embedded", DECODER.raw_decode(text, start)[0]
        except ValueError:
            continue
        except RecursionError:  # at each further bracket it would take as long
            return


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


DECODER = json.JSONDecoder(parse_constant=_no_number)


def _at(value: Any, name: str) -> Any:
    """Return what stands at a JSON pointer or top-level name, MISSING where there is nothing."""
    for step in schemas.path(name):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return MISSING
    return value


def _same(wanted: Any, found: Any) -> bool:
    """Return whether two values are equal as JSON: 1 is 1.0, and true is not 1."""
    return found is not MISSING and Draft202012Validator({"const": wanted}).is_valid(found)
