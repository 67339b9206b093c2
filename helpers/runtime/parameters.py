"""Notebook parameters, checked before any work starts.

A parameter travels as an environment variable through the shell of a Kubeflow pod (papermill's tagged cell holds
the same names in lower case), so strings keep to a safe set of characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator

from helpers.errors import InvalidInput, InvalidParameter

AUTO = "auto"
NUL = re.compile("\0")
UNSAFE = re.compile(r"[^A-Za-z0-9 ._:/,=+@%?&~()\[\]-]")


class Settings(BaseModel):
    """Frozen settings of a stage; a bad value raises InvalidParameter with the parameter's name."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())
    prose: ClassVar[frozenset[str]] = frozenset()  # fields whose text a use case holds, in any characters

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise InvalidParameter(_explain(error), do="Correct the parameter and run this stage again") from error

    @model_validator(mode="before")
    @classmethod
    def _safe_characters(cls, values: Any) -> Any:
        given = values if isinstance(values, dict) else {}
        texts = {name: value for name, value in given.items() if isinstance(value, str)}
        found = {name: (NUL if name in cls.prose else UNSAFE).search(value) for name, value in texts.items()}
        if told := [f"{name} holds the character {unsafe.group()!r}" for name, unsafe in found.items() if unsafe]:
            raise ValueError(f"{', '.join(told)}, which does not travel through a shell")
        return values


class Asking(Settings):
    """Settings of a stage that decides by criteria."""

    asks: ClassVar[str]  # what of them it cannot do without

    criteria: Path


def _explain(error: ValidationError) -> str:
    told = []
    for item in error.errors():
        name, message = ".".join(map(str, item["loc"])).upper(), item["msg"].removeprefix("Value error, ")
        told.append(f"Parameter {name} is {item['input']!r}: {message}" if name else f"Parameters: {message}")
    return "; ".join(told)


def held_by(check: Callable[[str], object]) -> AfterValidator:
    """Return a field's validator of a check that raises InvalidInput."""

    def held(value: str) -> str:
        try:
            check(value)
        except InvalidInput as error:
            raise ValueError(f"{error.what} ({error.do})") from error
        return value

    return AfterValidator(held)


def given(text: str) -> str:
    """Return the text, or "" for `auto`: an empty default of a pipeline's parameter does not reach a pod.

    There the pod's shell would see the placeholder itself in place of a value.
    """
    return "" if text == AUTO else text


def numbers(text: str, name: str) -> tuple[float, ...]:
    """Return the numbers of a comma-separated parameter. Raises InvalidParameter with its name."""
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise InvalidParameter(f"Parameter {name} is {text!r}: not numbers", do="Separate numbers by commas") from error


def words(text: str) -> tuple[str, ...]:
    """Return the words of a comma-separated parameter."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
