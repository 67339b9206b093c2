"""Everything about one measured version, joined."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from helpers.artifacts.accuracy import Evaluation
from helpers.artifacts.base import Artifact, Contract, Parameter
from helpers.artifacts.deployment import Endpoint, Selection
from helpers.artifacts.speed import Sweep


class Approval(Contract):
    """ModelOps' decision on a version and the reasons for it."""

    state: Literal["candidate", "approved", "rejected"]
    reasons: tuple[str, ...]


class Record(Artifact):
    """Everything about one measured version, joined; worth nothing without its circumstances."""

    filename = "record.json"
    written_by = "log_results"

    record_id: str = Field(
        pattern=r"^[0-9a-f]{16}$", description="digest of the content below: the same content, the same id"
    )
    purpose: Literal["baseline", "use-case"]
    use_case: str
    selection: Selection
    endpoint: Endpoint
    sweep: Sweep
    evaluation: Evaluation
    approval: Approval | None = None
    git_commit: str
    account: str = Field(default="", description="who wrote it: a pod's service account, or a user's name")
    started_by: str = Field(default="", description="who submitted the run, where somebody said so")
    versions: dict[str, str]
    settings: dict[str, Parameter]
    raw: dict[str, str] = Field(description="raw file -> its URI in the store")
