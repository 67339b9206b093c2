"""What a measuring stage leaves where the use case does not name its evaluation: a line that says so."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from helpers.artifacts.base import FOLDER, Artifact, write_atomic
from helpers.artifacts.names import ShortName


class NotMeasured(Artifact):
    """An evaluation that nobody asked for; whoever reads measurements passes over its file."""

    written_by = "its measuring stage"

    schema_version: Literal[2] = 2
    kind: Literal["not_measured"] = "not_measured"
    name: ShortName
    why: str
    empty: tuple[str, ...] = Field(default=(), description="further outputs of the node, which are empty files")

    @property
    def file(self) -> str:
        """The name of the file that a measurement would have."""
        return f"{self.name}.json"

    def write(self, folder: Path = FOLDER) -> Path:
        """Write the file, and empty ones for the node's other outputs."""
        for name in self.empty:
            write_atomic(folder / name, b"")
        return super().write(folder)
