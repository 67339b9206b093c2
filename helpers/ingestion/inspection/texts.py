"""Text that a person or a tokenizer reads: UTF-8 without control characters that hide what it says."""

from __future__ import annotations

import codecs
import re
from typing import BinaryIO

CHUNK = 1 << 20
SUFFIXES = (".md", ".txt", ".jinja", ".rst", "")
NAMES = ("LICENSE", "NOTICE", "USE_POLICY")
VOCABULARIES = ("vocab.txt", "merges.txt")  # tokens may be any printable character
CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f]")
HIDING = re.compile("[\x80-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069]")


def is_text(name: str) -> bool:
    """Return whether a file of this name should be text (JSON is looked at elsewhere)."""
    stem, dot, suffix = name.rpartition(".")
    return (dot + suffix if stem else "") in SUFFIXES or name.startswith(NAMES)


def text_problem(file: BinaryIO, name: str) -> str:
    """Return why an open file is no readable text, empty where it is."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    done = 0
    try:
        while data := file.read(CHUNK):
            if problem := _character_problem(decoder.decode(data), name):
                return problem
            done += len(data)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        return f"is no UTF-8 text: byte {error.object[error.start]:#04x} near offset {done + error.start:,}"
    return ""


def _character_problem(text: str, name: str) -> str:
    patterns = [CONTROLS] if name in VOCABULARIES or name.endswith(".md") else [CONTROLS, HIDING]
    found = next((found for pattern in patterns if (found := pattern.search(text))), None)
    return f"has the character U+{ord(found[0]):04X}, which hides text or moves it on a screen" if found else ""
