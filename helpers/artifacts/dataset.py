"""What a use case's data hold before anything is measured with them: counts, lengths, and what is wrong in them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from helpers.artifacts.base import Artifact, Contract, Parameter, now

Kind = Literal[
    "empty",
    "duplicate",
    "near_duplicate",
    "overlap",
    "contradiction",
    "answer_in_question",
    "position",
    "doubtful_label",
    "tells_nothing",
]
Role = Literal["questions", "prompts", "examples", "documents"]
OVERLAP: Kind = "overlap"


class Finding(Contract):
    """One thing that a person should look at."""

    kind: Kind
    set: str = Field(description="name of the set that it is about")
    against: str = Field(default="", description="name of the other set that shares the text, or contradicts it")
    ids: tuple[str, ...] = Field(description="rows of that set; empty where it is about the set as a whole")
    where: tuple[str, ...] = Field(description="file:line of these rows, then of what they are held against")
    number: float | None = Field(
        default=None,
        description="overlap: words of the longest run; near_duplicate: Jaccard index; position: p-value; "
        "doubtful_label and tells_nothing: versions",
    )
    what: str


class Lengths(Contract):
    """How long the texts of one category are, in the unit of the artifact."""

    category: str
    rows: int = Field(gt=0)
    shortest: int = Field(ge=0)
    median: float = Field(ge=0)
    p95: float = Field(ge=0)
    longest: int = Field(ge=0)


class TextSet(Contract):
    """The texts of one evaluation, one workload, or one file of examples or documents."""

    name: str
    role: Role
    files: tuple[str, ...]
    rows: int = Field(gt=0)
    lengths: tuple[Lengths, ...] = Field(description="all rows first, then by category")
    positions: tuple[int, ...] = Field(default=(), description="how often each option is the right one, in their order")


class Dataset(Artifact):
    """What explore_dataset found in a use case's data."""

    filename = "dataset.json"
    written_by = "explore_dataset"

    use_case: str
    explored: datetime = Field(default_factory=now)
    digests: dict[str, str] = Field(description="of each file that was read")
    unit: Literal["tokens", "words"] = Field(description="of the lengths; runs and Jaccard indices are of words")
    settings: dict[str, Parameter]
    sets: tuple[TextSet, ...]
    findings: tuple[Finding, ...] = ()
    absent: dict[str, str] = Field(default={}, description="what could not be looked at, and why")
    at_most: dict[Kind, int] = Field(default={}, description="rows with a finding of a kind that the use case allows")

    def rows(self, kind: Kind, name: str = "") -> tuple[str, ...]:
        """Return the ids of the rows with a finding of this kind, of one set or of all, each once."""
        found = (each for each in self.findings if each.kind == kind and name in ("", each.set))
        return tuple(dict.fromkeys(row for each in found for row in each.ids))

    def seen_before(self, name: str) -> tuple[str, ...]:
        """Return the questions of a set that share a run of words with documents or examples."""
        known = {each.name for each in self.sets if each.role in ("documents", "examples")}
        found = (each for each in self.findings if each.kind == OVERLAP and each.set == name and each.against in known)
        return tuple(dict.fromkeys(row for each in found for row in each.ids))

    def count(self, kind: Kind, name: str = "") -> int:
        """Return how many rows of one set, or all, have a finding of this kind; one about a whole set counts once."""
        found = [each for each in self.findings if each.kind == kind and name in ("", each.set)]
        return len({(each.set, row) for each in found for row in each.ids}) + sum(not each.ids for each in found)
