"""What every measuring stage writes, whatever it measures: one contract for registry, comparison, gate and report."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, computed_field, model_validator

from helpers.artifacts import names
from helpers.artifacts.base import FOLDER, Artifact, Contract, Parameter

NAME = names.SHORT
LOAD_TEST, EVALUATION = "chat", "knowledge"  # what the measurements of the shipped pipelines are called
Name = names.ShortName
Tier = Literal["performance", "format", "accuracy", "tools", "safety", "application"]
DERIVED = ("metrics", "failures")


class Interval(Contract):
    """A two-sided confidence interval."""

    low: float
    high: float
    confidence: float = Field(gt=0, lt=1)
    method: str


class Metric(Contract):
    """One figure of a measurement."""

    name: str
    value: float
    unit: str = ""
    better: Literal["higher", "lower", "zero"] = "higher"
    n: int = Field(gt=0, description="what the value was computed from: questions, or repeats")
    kind: Literal["proportion", "mean", "percentile", "rate"]
    interval: Interval | None = None


class Failures(Contract):
    """What became of what was asked; only what was answered counts in a metric."""

    asked: int = Field(ge=0)
    answered: int = Field(ge=0)
    failed: int = Field(default=0, ge=0)
    empty: int = Field(default=0, ge=0)
    truncated: int = Field(default=0, ge=0)
    unparsed: int = Field(default=0, ge=0, description="of `answered`: no answer was found in the text")


class Measurement(Artifact):
    """What one stage measured of one model; `artifacts/<name>.json`, its raw files beside it.

    `metrics` and `failures` follow from the other fields: they are written for other readers, and never read back.
    """

    schema_version: Literal[2] = 2
    name: Name = Field(description="of the measurement, unique in its pipeline: the node's NAME")
    kind: str
    tier: Tier
    digest: str = Field(default="", description="of the model that was measured; empty in files of version 1")
    dataset_digest: str | None = None
    started: datetime
    ended: datetime
    versions: dict[str, str] = Field(description="of the tools that measured")
    settings: dict[str, Parameter]
    identity: str = Field(default="", description="of what was measured, how, on what; empty: never taken over")
    taken_from: str = Field(default="", description="id of the record that this was taken over from")
    files: dict[str, str] = Field(default={}, description="raw file beside this one -> its sha256")
    imported: bool = Field(default=False, description="read from what another tool wrote: never a baseline")

    @property
    def file(self) -> str:
        """The name of this measurement's file."""
        return f"{self.name}.json"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The figures, the one that stands for the measurement first; empty where nothing could be measured."""
        raise NotImplementedError

    @computed_field  # type: ignore[prop-decorator]
    @property
    def failures(self) -> Failures:
        """What became of what was asked."""
        raise NotImplementedError

    @property
    def partial(self) -> str:
        """Why this is no measurement of everything that was to be asked, "" where it is one."""
        return ""

    @property
    def subject(self) -> str:
        """What was asked, as messages and the registry name it: a task, or a workload."""
        raise NotImplementedError

    @property
    def raw(self) -> dict[str, str]:
        """The raw files by what they are, which does not change with the measurement's name."""
        raise NotImplementedError

    @model_validator(mode="before")
    @classmethod
    def _derived(cls, values: Any) -> Any:
        return {k: v for k, v in values.items() if k not in DERIVED} if isinstance(values, dict) else values

    @classmethod
    def read_named(cls, name: str, folder: Path = FOLDER) -> Self:
        """Read the measurement of this name. Raises ArtifactMissing, OtherRun or InvalidInput, as `Artifact.read`."""
        return cls._read(folder, f"{name}.json")


def rename(files: dict[str, str], old: dict[str, str], new: dict[str, str]) -> dict[str, str]:
    """Return a mapping by file name under the names that another measurement's raw files have."""
    names = {name: new[what] for what, name in old.items() if what in new}
    return {names[name]: value for name, value in files.items() if name in names}


def measurements_in(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what each measurement's file in a folder of artifacts holds, by name, unchecked."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(path.read_bytes())
        except ValueError:
            continue
        if isinstance(content, dict) and {"kind", "tier"} <= content.keys() and content.get("name") == path.stem:
            found[path.stem] = content
    return found
