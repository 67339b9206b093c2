"""A tuned model before it comes in: where its files are, what it was made of and how."""

from __future__ import annotations

from pydantic import Field

from helpers.artifacts.base import Artifact, Contract, Parameter
from helpers.artifacts.names import OwnName


class Parent(Contract):
    """The version that a model was tuned from."""

    name: OwnName
    version: OwnName
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")

    @property
    def label(self) -> str:
        """Name and version as messages show them."""
        return f"{self.name} {self.version}"


class Tuned(Artifact):
    """What finetune_model made; ingest_model takes it as SOURCE."""

    filename = "tuned.json"
    written_by = "finetune_model"

    name: OwnName = Field(description="in the registry")
    version: OwnName
    uri: str = Field(description="where its files are: file:///… or s3://…")
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$", description="over all files, see helpers.ingestion")
    parent: Parent
    use_case: OwnName
    data: dict[str, str] = Field(description="sha256 of each file that it was tuned on, by the file's path")
    recipe: dict[str, Parameter] = Field(description="every setting that decides the weights, the seed among them")
    versions: dict[str, str] = Field(description="of the libraries that decide the weights")
    hardware: str
    identity: str = Field(pattern=r"^[0-9a-f]{64}$", description="over parent, data, recipe and versions")
    examples: int = Field(ge=1, description="conversations of the use case")
    replayed: int = Field(ge=0, description="answers of the parent itself, mixed in")
    trained_tokens: int = Field(ge=1, description="of one epoch, as the model reads them")
    learned_tokens: int = Field(ge=1, description="of those, the ones in answers")
    losses: tuple[tuple[int, float], ...] = Field(description="step and mean loss per learned token since the last")
    seconds: float = Field(ge=0, description="of training")

    @property
    def label(self) -> str:
        """Name and version as messages show them."""
        return f"{self.name} {self.version}"

    @property
    def source(self) -> str:
        """The signed description in the store, as SOURCE takes it: any run may read that one."""
        return f"{self.uri.rpartition('/')[0].removeprefix('file://')}/{self.filename}"

    def facts(self) -> dict[str, str]:
        """Return its origin as provenance, bill of materials and registry hold it."""
        settings = " ".join(f"{name}={value}" for name, value in sorted(self.recipe.items()))
        return {
            "parent": self.parent.label,
            "parent_digest": self.parent.digest,
            "tuned_for": self.use_case,
            "tuned_on": " ".join(f"{path}={digest}" for path, digest in sorted(self.data.items())),
            "tuning_recipe": settings,
            "tuning_versions": " ".join(f"{name}=={version}" for name, version in sorted(self.versions.items())),
            "tuning_identity": self.identity,
        }
