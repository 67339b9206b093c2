"""The platform team's policy: what may come in, and who signs it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, model_validator
from pydantic.json_schema import SkipJsonSchema

from helpers.artifacts.base import Contract
from helpers.datasets.criteria import lines_for
from helpers.errors import InvalidPolicy
from helpers.registry.review import DAYS
from helpers.runtime.yaml_files import read_yaml

GIB = 1024**3
MIB = 1024**2


class Sources(Contract):
    """Where a model may come from; an empty list means from nowhere of that kind, "*" from anywhere."""

    folders: bool
    organizations: tuple[str, ...]
    buckets: tuple[str, ...]
    registries: tuple[str, ...]
    tuned: bool = Field(default=False, description="what finetune_model made of a version that is approved here")


class Files(Contract):
    """Which files a model may consist of, as patterns of file names."""

    allow: tuple[str, ...] = Field(min_length=1)
    leave_behind: tuple[str, ...] = ()
    adapters: bool = False


class Limits(Contract):
    """Bounds on what is read at all."""

    total_gib: float = Field(gt=0)
    file_gib: float = Field(gt=0)
    files: int = Field(gt=0, le=100_000)
    json_mib: float = Field(gt=0, le=1024)
    hours: float = Field(gt=0)

    @property
    def total_bytes(self) -> int:
        """Bytes that all files together may have."""
        return int(self.total_gib * GIB)

    @property
    def file_bytes(self) -> int:
        """Bytes that one file may have."""
        return int(self.file_gib * GIB)

    @property
    def json_bytes(self) -> int:
        """Bytes that one JSON or text file may have."""
        return int(self.json_mib * MIB)


class Signature(Contract):
    """Who signs what comes in, and whose signature is trusted when it is served."""

    method: Literal["key", "sigstore"]
    public_key: str = ""
    identity: str = ""
    oidc_issuer: str = ""

    @model_validator(mode="after")
    def _someone_is_trusted(self) -> Signature:
        if self.method == "sigstore" and not (self.identity and self.oidc_issuer):
            raise ValueError("method sigstore needs identity and oidc_issuer")
        return self


class Review(Contract):
    """When an approval has to be looked at again, also where nothing has changed."""

    days: int = Field(default=DAYS, gt=0, le=3650)


def _moved(thresholds: Any) -> None:
    raise ValueError(f"thresholds stand elsewhere now: {lines_for(thresholds)}")


class Policy(Contract):
    """One policy file, validated."""

    sources: Sources
    licenses: tuple[str, ...]
    files: Files
    limits: Limits
    signature: Signature
    review: Review = Review()
    approval: SkipJsonSchema[Annotated[None, BeforeValidator(_moved)]] = Field(default=None, exclude=True)
    _digest: str = PrivateAttr(default="")

    @property
    def digest(self) -> str:
        """`sha256:` and the SHA-256 of the policy file, recorded with everything that it let in."""
        return self._digest


def load_policy(path: Path) -> Policy:
    """Return the policy in a YAML file. Raises InvalidPolicy with file, line and field."""
    given = {"missing": "Give POLICY a policy file", "repair": "Repair the policy"}
    policy, data = read_yaml(path, Policy, InvalidPolicy, **given)
    policy._digest = "sha256:" + hashlib.sha256(data).hexdigest()
    return policy
