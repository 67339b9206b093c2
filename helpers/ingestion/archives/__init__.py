"""Unpacking what a stranger packed: nothing lands outside of the folder, and nothing that could point there."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from helpers.errors import InvalidInput, StoreFailed
from helpers.ingestion.archives.members import FILE, FOLDER, Member, members
from helpers.ingestion.archives.streams import TAKE_ANOTHER, Bounds
from helpers.ingestion.findings import Finding
from helpers.ingestion.leaving import Leaving
from helpers.ingestion.names import collision_key, name_problems, path_problem, shown
from helpers.ingestion.policy import Limits

MOST = 100  # findings told of one archive
OUTSIDE = 1_000_000  # members of an image that are not below the prefix
REPACK = "Pack plain files under plain names"
WHITEOUT = ".wh."


def unpack(
    archive: Path, folder: Path, limits: Limits, *, prefix: str = "", leaving: Leaving | None = None
) -> list[Finding]:
    """Unpack a tar (plain, gzip, bzip2, xz) or zip archive below `folder`; return a finding for all that was left out.

    With `prefix` only what is below it comes out, without it: the layers of an image one after the other. What stays
    behind by `leaving` does not come out, either, be it in the archive's one folder or beside it.
    A file that is there already is never replaced. Raises StoreFailed where the disk is full.
    """
    with archive.open("rb") as file:
        return walk(file, archive.name, Unpacking(folder, limits, prefix, leaving))


def walk(file: BinaryIO, name: str, unpacking: Unpacking) -> list[Finding]:
    """Hand every member of an open archive to `unpacking`; return a finding for all that was left out."""
    findings: list[Finding] = []
    limits, members_limit = unpacking.limits, OUTSIDE if unpacking.prefix else 2 * unpacking.limits.files
    try:
        for member in members(file, Bounds(members_limit, limits.total_bytes)):
            findings += unpacking.take(member)
            if len(findings) > MOST or unpacking.files > limits.files:
                break
    except InvalidInput as error:
        findings.append(Finding(shown(name), "archive", "high", error.what, error.do))
    if unpacking.files > limits.files:
        findings.append(Finding(shown(name), "count", "high", f"holds more than {limits.files} files", REPACK))
    return findings


class Unpacking:
    """What of an archive is on disk already."""

    def __init__(self, folder: Path, limits: Limits, prefix: str, leaving: Leaving | None = None) -> None:
        self._folder, self.limits, self.prefix, self._leaving = folder, limits, prefix, leaving
        self._seen: dict[str, str] = {}
        self.files = 0

    def take(self, member: Member) -> list[Finding]:
        """Write one member, or return why not."""
        path, problem = _relative(member.name, self.prefix)
        if problem:
            return [Finding(shown(member.name), "path", "high", problem, TAKE_ANOTHER)]
        if not path:
            return list(_root_findings(member, self.prefix))
        if self._leaving and self._stays(path + "/" * (member.kind == FOLDER), self._leaving):
            return []
        findings = [*_member_findings(path, member, self.limits), *self._collisions(path, member)]
        if not findings and member.kind == FILE:
            findings += self.write(path, member)
        return findings

    @staticmethod
    def _stays(path: str, leaving: Leaving) -> bool:
        within = path.partition("/")[2]
        return leaving(path) or (within != "" and leaving(within))

    def _collisions(self, path: str, member: Member) -> Iterator[Finding]:
        parts = path.split("/")
        for length in range(1, len(parts) + 1):
            part = "/".join(parts[:length])
            first = self._seen.setdefault(collision_key(part), part)
            if first != part:
                problem = f"is the same name as {shown(first)} where case or accents do not count"
                yield Finding(shown(path), "name", "high", problem, REPACK)
                return

    def write(self, path: str, member: Member) -> list[Finding]:
        """Write a file, or return why not."""
        self.files += 1
        if self.files > self.limits.files:
            return []
        target = self._folder / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        except (FileExistsError, NotADirectoryError):
            problem = "is there already: twice in the archive, or in an earlier layer"
            return [Finding(shown(path), "archive", "high", problem, REPACK)]
        try:
            with os.fdopen(descriptor, "wb") as file:
                for data in member.content:
                    file.write(data)
        except OSError as error:
            raise StoreFailed(f"Could not unpack {target}: {error}", do="Free some space, then try again") from error
        return []


def _relative(name: str, prefix: str) -> tuple[str, str]:
    """Return a member's path below the prefix, empty for one that is not below it, and what is wrong with it."""
    if not prefix:
        path = name.removeprefix("./").rstrip("/")
        return ("", "") if path in ("", ".") and name[:1] != "/" else (path, path_problem(path))
    path = name.removeprefix("/").removeprefix("./").rstrip("/")
    if path.startswith(prefix):
        path = path.removeprefix(prefix)
        return path, path_problem(path)
    meant = posixpath.normpath("/" + name).lstrip("/")
    return "", f"is another spelling of {shown(meant)}" if meant.startswith(prefix) else ""


def _root_findings(member: Member, prefix: str) -> Iterator[Finding]:
    """Yield what is wrong with a member outside of the prefix: it may still move or hide the folder itself."""
    meant = posixpath.normpath("/" + member.name).lstrip("/")
    parent, _, name = meant.rpartition("/")
    around = f"{parent}/" if parent else ""
    hidden = name.removeprefix(WHITEOUT)
    if prefix.startswith(f"{meant}/") and member.kind != FOLDER:
        yield Finding(
            shown(meant), "link", "high", f"is {member.kind} where the model's folder should be", TAKE_ANOTHER
        )
    elif name != hidden and prefix.startswith(around) and (hidden.startswith(WHITEOUT) or hidden in prefix.split("/")):
        yield Finding(shown(meant), "archive", "high", "is a whiteout that hides the model's folder", TAKE_ANOTHER)


def _member_findings(path: str, member: Member, limits: Limits) -> Iterator[Finding]:
    file, parts = shown(path), path.split("/")
    if parts[-1].startswith(WHITEOUT):
        yield Finding(file, "archive", "high", "is a whiteout, which hides a file of an earlier layer", REPACK)
    else:
        for problem in dict.fromkeys(problem for part in parts for problem in name_problems(part)):
            yield Finding(file, "name", "high", problem, REPACK)
    if member.kind not in (FILE, FOLDER):
        yield Finding(file, rule_of(member.kind), "high", f"is {member.kind}", REPACK)
    if member.size > limits.file_bytes:
        problem = f"has {member.size:,} bytes, more than the {limits.file_gib:g} GiB that the policy allows"
        yield Finding(file, "size", "medium", problem, "Remove it, or raise the policy's limit")


def rule_of(kind: str) -> str:
    """Return the rule that a member breaks by its kind alone."""
    if "link" in kind:
        return "link"
    return "special-file" if "device" in kind or "pipe" in kind else "archive"
