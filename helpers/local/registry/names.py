"""Names as MySQL compares them: neither case nor accents count, and a search reads `%` and `_` as LIKE does."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache


@lru_cache(maxsize=4096)
def fold(text: str) -> str:
    """Return the text without case and accents: equal results are one name."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def collate(left: str, right: str) -> int:
    """Compare two texts without case and accents, for SQLite: -1, 0 or 1."""
    first, second = fold(left), fold(right)
    return (first > second) - (first < second)


def is_pattern(name: str) -> bool:
    """Tell whether LIKE would read the name as more than itself."""
    return any(sign in name for sign in "%_\\")


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    wild = {"%": ".*", "_": "."}
    parts = re.findall(r"\\.|.", fold(pattern), re.DOTALL)
    return re.compile("".join(wild.get(part) or re.escape(part[-1]) for part in parts), re.DOTALL)


def like(value: str, pattern: str) -> bool:
    """SQL's LIKE without case and accents; a backslash takes `%` and `_` literally."""
    return _compiled(pattern).fullmatch(fold(value)) is not None
