"""What an archive hides, under whatever name: members are looked at within bounds, archives in archives too."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO, NamedTuple, cast

from helpers.errors import InvalidInput
from helpers.ingestion.archives import rule_of
from helpers.ingestion.archives.members import FILE, FOLDER, Member, archive_kind, members, packed
from helpers.ingestion.archives.streams import Bounds
from helpers.ingestion.findings import Severity
from helpers.ingestion.inspection.magic import disguise
from helpers.ingestion.inspection.pickles import find_pickle
from helpers.ingestion.inspection.tree import TELLING
from helpers.ingestion.names import path_problem, shown

BOUNDS = Bounds(members=2_000, total_bytes=1 << 30)
SPOOL = 64 << 20  # bytes of an archive in an archive that are unpacked to look into it
DEPTH = 3
MOST = 20  # problems told of one archive


class Problem(NamedTuple):
    """One thing that an archive hides."""

    rule: str
    severity: Severity
    what: str


def hidden(file: BinaryIO, kind: str) -> Iterator[Problem]:
    """Yield what is wrong inside of an archive (as `archive_kind` names it), each with the member's path."""
    yield from islice(_hidden(file, kind, DEPTH), MOST)


def _hidden(file: BinaryIO, kind: str, depth: int) -> Iterator[Problem]:
    try:
        if (content := packed(file, kind, BOUNDS)) is not None:
            for problem in _content_problems(Member("", FILE, 0, content), depth):
                yield problem._replace(what=f"what it unpacks to {problem.what}")
            for _ in content:
                pass  # until its end, or until it is a bomb
            return
        for member in members(file, BOUNDS):
            for problem in _member_problems(member, depth):
                yield problem._replace(what=f"its member {shown(member.name)} {problem.what}")
    except InvalidInput as error:
        yield Problem("archive", "high", f"it {error.what}")


def _member_problems(member: Member, depth: int) -> Iterator[Problem]:
    if problem := path_problem(member.name.removeprefix("./").rstrip("/")):
        yield Problem("path", "high", problem)
    if member.kind == FILE:
        yield from _content_problems(member, depth)
    elif member.kind != FOLDER:
        yield Problem(rule_of(member.kind), "high", f"is {member.kind}")


def _content_problems(member: Member, depth: int) -> Iterator[Problem]:
    suffix = os.path.splitext(member.name)[1].lower()
    head = next(member.content, b"")
    start = io.BytesIO(head)
    if pickle := find_pickle(start):
        yield Problem("pickle", "critical", f"is {pickle}")
    elif what := disguise(start, suffix):
        yield Problem("content", "critical", f"is {what}")
    elif kind := archive_kind(start):
        yield from _nested(member, head, kind, depth)
    elif suffix in TELLING and TELLING[suffix][1] == "critical":
        yield Problem("file-type", "critical", TELLING[suffix][0])


def _nested(member: Member, head: bytes, kind: str, depth: int) -> Iterator[Problem]:
    if depth == 1:
        yield Problem("archive", "high", f"is an archive ({kind}) that is nested deeper than {DEPTH}")
        return
    with tempfile.TemporaryFile() as spooled:
        spooled.write(head)
        for data in member.content:
            spooled.write(data)
            if spooled.tell() > SPOOL:
                yield Problem("archive", "high", f"is an archive ({kind}) too large to look into")
                return
        for problem in _hidden(cast("BinaryIO", spooled), kind, depth - 1):
            yield problem._replace(what=f"is an archive ({kind}): {problem.what}")
