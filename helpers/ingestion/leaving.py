"""What stays where a model comes from: files that the policy leaves behind, whatever the source."""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase
from pathlib import Path

from helpers.ingestion.findings import Finding
from helpers.ingestion.names import shown
from helpers.ingestion.policy import Policy

BLOB = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class Leaving:
    """Says of each path whether it stays behind, and remembers which did."""

    def __init__(self, policy: Policy | None) -> None:
        self._patterns = policy.files.leave_behind if policy else ()
        self._left: list[str] = []

    def __call__(self, path: str) -> bool:
        """Return whether a file stays behind, or where the path ends with "/", a whole folder."""
        stays = any(
            fnmatchcase(name, pattern) for name in {path, path.rpartition("/")[2]} - {""} for pattern in self._patterns
        )
        if stays:
            self._left.append(path)
        return stays

    def note(self) -> tuple[Finding, ...]:
        """Return what stayed behind as a note; hidden files are housekeeping and not worth one."""
        told = sorted(path for path in self._left if not any(part.startswith(".") for part in path.split("/")))
        if not told:
            return ()
        listed = ", ".join(map(shown, told[:5])) + (", …" if len(told) > 5 else "")
        problem = f"has {len(told)} files or folders that the policy leaves behind: {listed}"
        return (Finding(".", "left-behind", "low", problem, "Nothing: they do not come in"),)


def is_snapshot(folder: Path) -> bool:
    """Return whether a folder lies where the hub's cache keeps its snapshots, whose files are links to its blobs."""
    return folder.parent.name == "snapshots" and (folder.parent.parent / "blobs").is_dir()


def blob_of(snapshot: Path, name: str) -> Path | None:
    """Return the blob of the hub's cache that a link of a snapshot stands for, None for any other link."""
    blobs = snapshot.parent.parent / "blobs"
    link = snapshot / name
    target = Path(os.path.normpath(link.parent / os.readlink(link)))
    if snapshot.parent.name != "snapshots" or target.parent != blobs or not BLOB.fullmatch(target.name):
        return None
    return target if target.is_file() and not target.is_symlink() else None
