"""Whether a file holds what its name says; nothing is loaded or run.

Nothing is hunted for: what comes in was read as JSON, safetensors, text, a template or a tokenizer. Only a zip archive
at the end of such a file could be something else as well.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from helpers.errors import InvalidInput
from helpers.ingestion.findings import Finding
from helpers.ingestion.inspection.opening import open_file
from helpers.ingestion.inspection.vocabulary import tokenizer_problem

CHUNK, TAIL = 1 << 20, 1 << 19  # the end record of a zip archive and one entry of its list lie within TAIL
ZIP_END, ZIP_ENTRY = b"PK\x05\x06", b"PK\x01\x02"
SUFFIXES = (".md", ".txt", ".jinja", ".rst", "")
NAMES = ("LICENSE", "NOTICE", "USE_POLICY")
VOCABULARIES = ("vocab.txt", "merges.txt")  # tokens may be any printable character
CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f]")
HIDING = re.compile("[\x80-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069]")
SCRIPT = re.compile(rb"(?:\xef\xbb\xbf)?#![ \t]*/")


def inspect_content(path: Path, name: str) -> Iterator[Finding]:
    """Yield where the bytes of one file are something else than its name says."""
    last = name.rpartition("/")[2]
    try:
        with open_file(path) as file:
            if _ends_as_zip(file):
                problem = "has a zip archive at its end, so that two programs read two things"
                yield Finding(name, "archive", "high", problem, "Remove it, or put what it holds beside the others")
            file.seek(0)
            if _is_text(last):
                yield from _text(file, name, last)
            elif last.endswith(".model") and (problem := tokenizer_problem(file)):
                yield Finding(name, "tokenizer", "high", problem, "Take the file from the model's publisher")
    except InvalidInput as error:
        yield Finding(name, "unreadable", "high", error.what, error.do)


def _ends_as_zip(file: BinaryIO) -> bool:
    file.seek(max(0, file.seek(0, io.SEEK_END) - TAIL))
    entries, end, _ = file.read().rpartition(ZIP_END)
    return bool(end) and ZIP_ENTRY in entries


def _is_text(name: str) -> bool:
    """Return whether a file of this name should be text (JSON is looked at elsewhere)."""
    stem, dot, suffix = name.rpartition(".")
    return (dot + suffix if stem else "") in SUFFIXES or name.startswith(NAMES)


def _text(file: io.BufferedReader, name: str, last: str) -> Iterator[Finding]:
    if SCRIPT.match(file.peek(64)):
        yield Finding(name, "content", "critical", "is a script", "Remove it")
    decoder = codecs.getincrementaldecoder("utf-8")()
    hiding = [CONTROLS] if last in VOCABULARIES or last.endswith(".md") else [CONTROLS, HIDING]
    problem, done = "", 0
    try:
        while not problem and (data := file.read(CHUNK)):
            text = decoder.decode(data)
            if found := next((found for pattern in hiding if (found := pattern.search(text))), None):
                problem = f"has the character U+{ord(found[0]):04X}, which hides text or moves it on a screen"
            done += len(data)
        if not problem:
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        problem = f"is no UTF-8 text: byte {error.object[error.start]:#04x} near offset {done + error.start:,}"
    if problem:
        yield Finding(name, "encoding", "high", problem, "Save it as plain UTF-8 text")
