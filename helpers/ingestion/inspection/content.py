"""Whether a file holds what its name says: by its bytes, under any name; nothing is loaded or run.

A pickle is not hunted for: what comes in is JSON, safetensors, text, a template or a tokenizer, and looked at as such.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from helpers.errors import InvalidInput
from helpers.ingestion.archives.members import archive_kind
from helpers.ingestion.findings import Finding
from helpers.ingestion.inspection.magic import disguise
from helpers.ingestion.inspection.opening import open_file
from helpers.ingestion.inspection.texts import is_text, text_problem
from helpers.ingestion.inspection.vocabulary import tokenizer_problem
from helpers.ingestion.policy import Policy

UNPACK = "Remove it, or put the files that the model needs beside the others"
REMOVE = "Remove it"


def inspect_content(path: Path, name: str, policy: Policy) -> Iterator[Finding]:
    """Yield where the bytes of one file are something else than its name says."""
    try:
        with open_file(path) as file:
            yield from _disguises(file, name)
            yield from _forms(file, name, policy)
    except InvalidInput as error:
        yield Finding(name, "unreadable", "high", error.what, error.do)


def _disguises(file: BinaryIO, name: str) -> Iterator[Finding]:
    suffix = os.path.splitext(name)[1].lower()
    if what := disguise(file, suffix):
        yield Finding(name, "content", "critical", f"is {what}", REMOVE)
    if kind := archive_kind(file):
        yield Finding(name, "archive", "high", _how_packed(file, kind), UNPACK)


def _how_packed(file: BinaryIO, kind: str) -> str:
    file.seek(0)
    if kind == "zip" and file.read(2) != b"PK":
        return "has an archive (zip) hidden at its end, so that two programs read two things"
    return f"is an archive ({kind})"


def _forms(file: BinaryIO, name: str, policy: Policy) -> Iterator[Finding]:
    if is_text(name.rpartition("/")[2]):
        if problem := text_problem(file, name.rpartition("/")[2]):
            yield Finding(name, "encoding", "high", problem, "Save it as plain UTF-8 text")
    elif name.endswith(".model") and (problem := tokenizer_problem(file)):
        yield Finding(name, "tokenizer", "high", problem, "Take the file from the model's publisher")
