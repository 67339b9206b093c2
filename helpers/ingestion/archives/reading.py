"""An archive as it passes by: every file hashed, a few kept in memory, none written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from helpers.ingestion.archives import REPACK, Unpacking, walk
from helpers.ingestion.archives.members import Member
from helpers.ingestion.findings import Finding
from helpers.ingestion.names import shown
from helpers.ingestion.policy import Limits


class Reading(Unpacking):
    """The SHA-256 of every file that would be unpacked, and the content of those that `keep` wants."""

    def __init__(self, limits: Limits, prefix: str, keep: Callable[[str], bool]) -> None:
        super().__init__(Path(), limits, prefix)
        self.keep = keep
        self.sums: dict[str, str] = {}
        self.kept: dict[str, bytes] = {}

    def read(self, file: BinaryIO, name: str) -> list[Finding]:
        """Read one more archive; return a finding for all that `unpack` would leave out."""
        return walk(file, name, self)

    def write(self, path: str, member: Member) -> list[Finding]:
        """Hash a file, or return why not."""
        self.files += 1
        if path in self.sums:
            problem = "is there already: twice in the archive, or in an earlier layer"
            return [Finding(shown(path), "archive", "high", problem, REPACK)]
        value, wanted, content = hashlib.sha256(), self.keep(path), bytearray()
        for data in member.content:
            value.update(data)
            if wanted:
                content += data
        self.sums[path] = value.hexdigest()
        if wanted:
            self.kept[path] = bytes(content)
        return []
