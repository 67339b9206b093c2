"""Everything about one measured version, joined."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from helpers.artifacts import canonical, upgrading
from helpers.artifacts.accuracy import Evaluation
from helpers.artifacts.base import FOLDER, Artifact, Contract, Parameter
from helpers.artifacts.deployment import Endpoint, Selection
from helpers.artifacts.measurement import DERIVED, EVALUATION, LOAD_TEST, measurements_in
from helpers.artifacts.names import OwnName
from helpers.artifacts.speed import LoadTest
from helpers.errors import ArtifactMissing, OtherRun

# What is no content: where it lies, which run hands it on, and what was decided on it, which is signed for itself.
OUTSIDE = ("record_id", "digest", "raw", "run", "approval")
UNVERIFIED = " (unverified)"  # behind the name of an endpoint that existed before


class Approval(Contract):
    """ModelOps' decision on a version and the reasons for it."""

    state: Literal["candidate", "approved", "rejected"]
    reasons: tuple[str, ...]


AnyMeasurement = Annotated[LoadTest | Evaluation, Field(discriminator="kind")]


class Record(Artifact):
    """Everything about one measured version, joined; worth nothing without its circumstances."""

    filename = "record.json"
    written_by = "log_results"

    schema_version: Literal[2] = 2
    record_id: str = Field(
        pattern=r"^[0-9a-f]{16}$", description="the first digits of `digest`: the same content, the same id"
    )
    digest: str = Field(
        default="",
        pattern=r"^(sha256:[0-9a-f]{64})?$",
        description="over all of it but `OUTSIDE`, recomputed by whoever reads it; empty in records of before",
    )
    purpose: Literal["baseline", "use-case"]
    use_case: OwnName
    use_case_files: dict[str, str] = Field(default={}, description="digest of each of its files, by the file's path")
    selection: Selection
    endpoint: Endpoint
    measurements: tuple[AnyMeasurement, ...] = Field(min_length=1, description="in the order of their names")
    parent: str = Field(default="", description="digest of the model that this one was tuned from")
    approval: Approval | None = None
    git_commit: str
    account: str = Field(default="", description="who wrote it: a pod's service account, or a user's name")
    started_by: str = Field(default="", description="who submitted the run, where somebody said so")
    trigger: str = Field(default="", description="what started the run, where nobody did: an alert, since when")
    versions: dict[str, str]
    settings: dict[str, Parameter]
    raw: dict[str, str] = Field(description="raw file -> its URI in the store")
    raw_digests: dict[str, str] = Field(default={}, description="raw file -> its sha256; empty in records of before")

    @model_validator(mode="before")
    @classmethod
    def _upgraded(cls, values: Any) -> Any:
        return upgrading.record(values)

    @model_validator(mode="after")
    def _each_name_once(self) -> Self:
        names = [each.name for each in self.measurements]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"measurements: two are called {', '.join(sorted(twice))}")
        return self

    @model_validator(mode="after")
    def _is_what_its_digest_says(self) -> Self:
        if self.digest and (self.digest, self.record_id) != self._known_by():
            raise ValueError(f"somebody changed it: its content is {self._known_by()[0]}, not {self.digest}")
        return self

    def sealed(self) -> Self:
        """Return the record with the digest and the id of its content."""
        digest, record_id = self._known_by()
        return self.model_copy(update={"digest": digest, "record_id": record_id})

    def _known_by(self) -> tuple[str, str]:
        # Without what is left at its default: a field that is added later changes no digest of before.
        left_out: dict[str, Any] = {**dict.fromkeys(OUTSIDE, True), "measurements": {"__all__": set(DERIVED)}}
        content = self.model_dump(mode="json", exclude_defaults=True, exclude=left_out)
        digest = canonical.digest(content)
        return digest, digest.removeprefix("sha256:")[:16]

    @property
    def load_tests(self) -> tuple[LoadTest, ...]:
        """The load tests, in the order of their names."""
        return tuple(each for each in self.measurements if isinstance(each, LoadTest))

    @property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """The evaluations, in the order of their names."""
        return tuple(each for each in self.measurements if isinstance(each, Evaluation))

    @property
    def sweep(self) -> LoadTest:
        """The load test of the shipped name, or else the first."""
        return min(self.load_tests, key=lambda each: each.name != LOAD_TEST)

    @property
    def evaluation(self) -> Evaluation:
        """The evaluation of the shipped name, or else the first of accuracy, or else the first."""
        return min(self.evaluations, key=lambda each: (each.name != EVALUATION, each.tier != "accuracy"))

    @property
    def ended(self) -> datetime:
        """When the last of the measurements ended."""
        return max(each.ended for each in self.measurements)

    @property
    def unverified(self) -> bool:
        """Whether nobody has seen which model's files answered: an endpoint that existed before."""
        return self.endpoint.target == "existing"

    @property
    def label(self) -> str:
        """Name and version as tables, figures and messages show them; what is not verified is marked."""
        if self.endpoint.target == "imported":
            return self.selection.name
        return self.selection.label + (UNVERIFIED if self.unverified else "")


def read_measurements(folder: Path = FOLDER) -> tuple[list[AnyMeasurement], list[str]]:
    """Return this run's measurements in a folder of artifacts, and the names of those that another run left there.

    Raises ArtifactMissing where there is none of this run, InvalidInput where one is malformed.
    """
    kinds: dict[str, type[AnyMeasurement]] = {"load_test": LoadTest, "evaluation": Evaluation}
    found: list[AnyMeasurement] = []
    others = []
    for name, content in measurements_in(folder).items():
        try:
            found.append(kinds.get(content["kind"], Evaluation).read_named(name, folder))
        except OtherRun:
            others.append(name)
    if not found:
        left = f"; {', '.join(others)} {'is' if len(others) == 1 else 'are'} of another run" if others else ""
        raise ArtifactMissing(f"{folder} holds no measurement of this run{left}", do="Run a measuring stage first")
    return found, others
