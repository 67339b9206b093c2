"""What a reader finds in another tool's file, and what a reader is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from helpers.artifacts import AnyMeasurement, Evaluation, Hardware, Sample


@dataclass(frozen=True)
class Imported:
    """One model's measurements, with the samples of those that have some, by the measurement's name."""

    model: str
    place: Path
    measurements: tuple[AnyMeasurement, ...]
    samples: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    hardware: Hardware | None = None
    notes: tuple[str, ...] = ()

    @property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """The evaluations, in the order of their names."""
        return tuple(each for each in self.measurements if isinstance(each, Evaluation))


class Reader(Protocol):
    """One format. `content` is a JSON file's, or the first line's of JSON lines."""

    def claims(self, content: Any) -> bool:
        """Return whether this is the format of a file's content."""
        ...

    def read(self, path: Path, content: Any, metric: str) -> Imported:
        """Return what the file holds; `metric` is the one that is wanted, "" for the tool's first.

        Raises InvalidResults with file and line of all that is wrong.
        """
        ...
