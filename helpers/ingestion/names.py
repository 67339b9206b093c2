"""What a file in a model may be called: names that every system reads alike and that hide nothing."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

MAX_NAME, MAX_PATH, MAX_DEPTH = 255, 1024, 16
BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
LOOKALIKES = ("CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU")


def shown(name: str) -> str:
    """Return a name as it can be printed and sent as JSON: whatever hides or moves text is escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in name)


def collision_key(path: str) -> str:
    """Return what two paths share that some file system takes for one and the same."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", path).casefold())


def path_problem(path: str) -> str:
    """Return why a relative POSIX path may leave the folder or hide in it, empty where it may not."""
    parts = path.split("/")
    if path.startswith("/") or path[1:3] in (":/", ":\\"):
        return "has an absolute path"
    if ".." in parts:
        return "has a path that leaves its folder (..)"
    if "\\" in path:
        return "has a backslash in its name, which is a folder's end on other systems"
    if "" in parts or "." in parts:
        return "has a path with an empty or '.' part"
    if len(parts) > MAX_DEPTH:
        return f"is more than {MAX_DEPTH} folders deep"
    return f"has a path of more than {MAX_PATH} bytes" if _bytes(path) > MAX_PATH else ""


def name_problems(name: str) -> Iterator[str]:
    """Yield every reason why one part of a path hides what it is."""
    if not name.isascii():
        yield from _hidden_characters(name)
    elif not name.isprintable():
        yield "has control characters in its name"
    if name.startswith("."):
        yield "is hidden: its name begins with a dot"
    if name.startswith(("-", "~")):
        yield f"has a name that begins with {name[0]!r}, which commands take for something else"
    if name != name.strip() or name.endswith("."):
        yield "has a blank at an end of its name, or a dot at its end"
    if _bytes(name) > MAX_NAME:
        yield f"has a name of more than {MAX_NAME} bytes"


def _hidden_characters(name: str) -> Iterator[str]:
    categories = {unicodedata.category(char) for char in name}
    if "Cs" in categories:
        yield "has bytes in its name that are not UTF-8"
        return
    if BIDI & set(name):
        yield "has characters in its name that reverse the text's direction"
    elif categories & {"Cf", "Cc", "Co", "Cn", "Zl", "Zp"}:
        yield "has invisible or control characters in its name"
    if not unicodedata.is_normalized("NFKC", name):
        yield "has a name that is not in Unicode's normal form NFKC, so that another name looks the same"
    if any(_mixes_alphabets(part) for part in name.split(".")):
        yield "has a name that mixes Latin letters with letters that look like them"


def _mixes_alphabets(text: str) -> bool:
    latin = any(char.isascii() and char.isalpha() for char in text)
    return latin and any(unicodedata.name(char, "").startswith(LOOKALIKES) for char in text if not char.isascii())


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
