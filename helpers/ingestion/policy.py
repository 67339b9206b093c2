"""The platform team's policy: what may come in, who signs, and what a version must show to be approved."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from helpers.artifacts.base import Contract
from helpers.errors import InvalidPolicy

GIB = 1024**3
MIB = 1024**2


class Sources(Contract):
    """Where a model may come from; an empty list means from nowhere of that kind, "*" from anywhere."""

    folders: bool
    organizations: tuple[str, ...]
    buckets: tuple[str, ...]
    registries: tuple[str, ...]


class Files(Contract):
    """Which files a model may consist of, as patterns of file names."""

    allow: tuple[str, ...] = Field(min_length=1)
    leave_on_hub: tuple[str, ...] = ()
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


class Thresholds(Contract):
    """What the baseline must show; None is not asked for."""

    min_accuracy: float | None = Field(default=None, ge=0, le=1)
    max_ttft_p95_ms: float | None = Field(default=None, gt=0)


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


class Policy(Contract):
    """One policy file, validated."""

    sources: Sources
    licenses: tuple[str, ...]
    files: Files
    limits: Limits
    approval: Thresholds
    signature: Signature
    _digest: str = PrivateAttr(default="")

    @property
    def digest(self) -> str:
        """`sha256:` and the SHA-256 of the policy file, recorded with everything that it let in."""
        return self._digest


def load_policy(path: Path) -> Policy:
    """Return the policy in a YAML file. Raises InvalidPolicy with file, line and field."""
    import yaml

    try:
        data = path.read_bytes()
        root = yaml.compose(data, Loader=yaml.SafeLoader)
        _refuse_twice(path, root)
        policy = Policy.model_validate(yaml.safe_load(data))
    except OSError as error:
        raise InvalidPolicy(f"{path} cannot be read: {error.strerror}", do="Give POLICY a policy file") from error
    except yaml.YAMLError as error:
        raise InvalidPolicy(f"{path} is not YAML: {error}", do="Repair the policy") from error
    except ValidationError as error:
        problems = [f"{path}:{_line(root, item['loc'])}: {_field(item)}" for item in error.errors()]
        raise InvalidPolicy("; ".join(problems), do="Repair the policy") from error
    policy._digest = "sha256:" + hashlib.sha256(data).hexdigest()
    return policy


def _refuse_twice(path: Path, node: Any, place: str = "") -> None:
    """Refuse a field that is there twice: YAML would take the last one, a reader the first."""
    import yaml

    seen: set[str] = set()
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        name = f"{place}{key.value}"
        if name in seen:
            raise InvalidPolicy(f"{path}:{key.start_mark.line + 1}: {name}: is there twice", do="Repair the policy")
        seen.add(name)
        _refuse_twice(path, value, f"{name}.")


def _field(item: Any) -> str:
    return f"{'.'.join(map(str, item['loc'])) or 'the file'}: {item['msg']}"


def _line(node: Any, path: tuple[int | str, ...]) -> int:
    """Return the line of the deepest key that exists on the way to `path`."""
    import yaml

    line = 1
    for step in path:
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == step]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            found = [(item, item) for item in node.value[step : step + 1]]
        else:
            found = []
        if not found:
            break
        line, node = found[0][0].start_mark.line + 1, found[0][1]
    return line
