"""What operators, filters and methods make of constants, within bounds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

Constant = str | int | tuple[Any, ...]
KEPT, LARGE = 1000, 1_000_000  # longer texts are unknown, larger numbers refused


class TooLarge(ValueError):
    """A constant of the template is larger than any chat template needs."""


# Filters and methods that text or a list passes through; any other makes the result unknown.
ON_TEXT: dict[str, Callable[..., Constant]] = {
    **{name: getattr(str, name) for name in (
        "capitalize", "casefold", "lower", "lstrip", "removeprefix", "removesuffix", "replace", "rstrip", "strip",
        "swapcase", "title", "upper")},
    **dict.fromkeys(("string", "safe", "escape", "e", "forceescape"), lambda text: text),
    "trim": lambda text, *_: text.strip(),
    "reverse": lambda text: text[::-1],
    "list": tuple,
    **dict.fromkeys(("center", "ljust", "rjust"), lambda text, width, fill=" ": _padded(text, width, fill)),
    "format": lambda text, *given: _percent(text, given),
    "{}": lambda text, *given: _braces(text, given),
}  # fmt: skip
ON_LISTS: dict[str, Callable[..., Constant]] = {
    "join": lambda items, glue="", *_: text_of(glue).join(map(text_of, items)),
    "reverse": lambda items: items[::-1],
    "list": lambda items: items,
    "first": lambda items: items[0],
    "last": lambda items: items[-1],
}


def operated(operator: str, left: Constant, right: Constant) -> Iterator[Constant]:
    """Yield what an operator makes of two constants, nothing where that is unknown; raises TooLarge."""
    match operator, (left, right):
        case "+", (str(), str()) | (int(), int()) | (tuple(), tuple()):
            yield left + right  # type: ignore[operator]
        case "-", (int(), int()):
            yield left - right
    if operator == "*":
        yield from _multiplied(left, right)
    if operator == "**" and isinstance(left, int) and isinstance(right, int):
        if abs(right) > 64:
            raise TooLarge(f"raises to the power of {right}")
        yield int(left**right) if right >= 0 else 0
    if operator == "%" and isinstance(left, str):
        yield _percent(left, right if isinstance(right, tuple) else (right,))


def _multiplied(left: Constant, right: Constant) -> Iterator[Constant]:
    if isinstance(left, int) and isinstance(right, int):
        yield left * right
    elif isinstance(left, int) and not isinstance(right, int):
        yield _repeated(right, left)
    elif isinstance(right, int) and not isinstance(left, int):
        yield _repeated(left, right)


def _repeated(what: str | tuple[Any, ...], times: int) -> Constant:
    if len(what) * times > KEPT:
        raise TooLarge(f"repeats a text or list {times:,} times")
    return what * times


def _percent(text: str, given: tuple[Constant, ...]) -> str:
    """Fill in %s, %d and %c, without their widths."""
    left = iter(given)
    return re.sub(r"%[^a-zA-Z%]*([sdc])", lambda found: _filled(found[1], next(left, "")), text)


def _braces(text: str, given: tuple[Constant, ...]) -> str:
    """Fill in {} and {0}, without their widths."""
    left = iter(given)

    def filled(found: re.Match[str]) -> str:
        place = int(found[1] or -1)
        return text_of(given[place] if 0 <= place < len(given) else next(left, ""))

    return re.sub(r"\{(\d?)[^{}]*\}", filled, text)


def _padded(text: str, width: Constant, fill: str) -> str:
    if not isinstance(width, int) or width > KEPT:
        raise TooLarge(f"pads a text to {width!r:.20} characters")
    return text.center(width, fill)


def _filled(kind: str, value: Constant) -> str:
    return chr(value) if kind == "c" and isinstance(value, int) and 0 <= value < 0x110000 else text_of(value)


def text_of(value: Constant) -> str:
    """Return a constant as text; a list has none, as lists in lists grow without bounds."""
    if isinstance(value, tuple):
        raise TypeError("a list is no text")
    return str(value)


def bounded(value: Constant) -> bool:
    """Return whether a constant is short enough to go on with; raises TooLarge for a large number."""
    if isinstance(value, int) and abs(value) > LARGE:
        raise TooLarge(f"has the number {value:.3e}" if abs(value) < 10**300 else "has a number of hundreds of digits")
    return isinstance(value, int) or len(value) <= KEPT
