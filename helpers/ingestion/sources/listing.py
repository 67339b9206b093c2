"""What a source's list of files already says: nothing is downloaded that would be refused for its name or size."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from helpers.ingestion.findings import Finding
from helpers.ingestion.inspection.tree import CONVERT, PICKLES, REMOVE, RENAME, TELLING
from helpers.ingestion.names import collision_key, name_problems, path_problem, shown
from helpers.ingestion.policy import Policy

LARGE = (".safetensors", ".model")
RAISE = "Choose a smaller model, or raise the policy's limit"


def inspect_listing(sizes: Mapping[str, int], policy: Policy) -> list[Finding]:
    """Return what is wrong with files of these paths and sizes, by the same rules as for a folder."""
    if not sizes:
        return [Finding(".", "source", "high", "has no files there", "Check the address")]
    if len(sizes) > policy.limits.files:
        problem = f"holds more than {policy.limits.files} files"
        return [Finding(".", "count", "high", problem, "Remove what the model does not need")]
    findings = [finding for path in sizes for finding in _file_findings(path, sizes[path], policy)]
    total = sum(sizes.values())
    if total > policy.limits.total_bytes:
        problem = f"has {total:,} bytes in all, more than the {policy.limits.total_gib:g} GiB that the policy allows"
        findings.append(Finding(".", "size", "medium", problem, RAISE))
    return [*findings, *_collisions(sizes)]


def _file_findings(path: str, size: int, policy: Policy) -> Iterator[Finding]:
    name, file = path.rpartition("/")[2], shown(path)
    if problem := path_problem(path):
        yield Finding(file, "path", "high", problem, RENAME)
    for problem in dict.fromkeys(problem for part in path.split("/") for problem in name_problems(part)):
        yield Finding(file, "name", "high", problem, RENAME)
    if not any(fnmatchcase(name, pattern) for pattern in policy.files.allow):
        what, severity = TELLING.get(os.path.splitext(name)[1].lower(), ("is of a kind that may not come in", "medium"))
        yield Finding(file, "file-type", severity, what, CONVERT if what is PICKLES else REMOVE)
    limit = policy.limits.file_bytes if name.endswith(LARGE) else policy.limits.json_bytes
    if size > min(limit, policy.limits.file_bytes):
        yield Finding(file, "size", "medium", f"has {size:,} bytes, more than the policy allows one such file", RAISE)


def _collisions(sizes: Mapping[str, int]) -> Iterator[Finding]:
    """Yield names that some file system takes for one, and files that are in the way of another one's folder."""
    seen: dict[str, str] = {}
    for path in sorted(sizes):
        if (first := seen.setdefault(collision_key(path), path)) != path:
            problem = f"is the same name as {shown(first)} where case or accents do not count"
            yield Finding(shown(path), "name", "high", problem, RENAME)
    for path in sizes:
        parts = path.split("/")
        folders = (collision_key("/".join(parts[:length])) for length in range(1, len(parts)))
        if first := next((seen[folder] for folder in folders if folder in seen), ""):
            problem = f"lies in a folder of the same name as the file {shown(first)}"
            yield Finding(shown(path), "name", "high", problem, RENAME)
