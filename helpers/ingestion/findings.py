"""What inspection found: one line per finding, each with the rule it broke and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from pydantic import Field

from helpers.artifacts.base import Artifact
from helpers.errors import RefusedModel

Severity = Literal["critical", "high", "medium", "low"]
ORDER: tuple[Severity, ...] = ("critical", "high", "medium", "low")


class Finding(NamedTuple):
    """One thing that is wrong, and how grave it is.

    critical would run code, high is broken or hides what it is, medium is against the policy, low is a note; all but
    low refuse the model. `file` is relative to the model's folder, "." for the folder itself.
    """

    file: str
    rule: str
    severity: Severity
    problem: str
    do: str


class Inspection(Artifact):
    """What was inspected, by which scanners, under which policy, and everything that was found."""

    filename = "inspection.json"
    written_by = "ingest_model"

    source: str
    files: int
    size_bytes: int
    findings: tuple[Finding, ...] = ()
    scanners: dict[str, str] = Field(default_factory=dict, description="name -> version")
    policy_digest: str

    @property
    def refused(self) -> bool:
        """Whether any finding keeps the model out."""
        return any(finding.severity != "low" for finding in self.findings)


def ordered(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the findings without repetitions, the gravest first, then by file and rule."""
    return tuple(sorted(set(findings), key=lambda finding: (ORDER.index(finding.severity), *finding)))


def refuse(inspection: Inspection) -> None:
    """Raise RefusedModel with every finding that refuses; return where there is none."""
    if not inspection.refused:
        return
    grave = [finding for finding in inspection.findings if finding.severity != "low"]
    listed = "; ".join(f"{finding.file}: {finding.problem} ({finding.rule})" for finding in grave[:20])
    more = f"; and {len(grave) - 20} more" if len(grave) > 20 else ""
    raise RefusedModel(
        f"{inspection.source} is refused: {listed}{more}", do="; ".join(dict.fromkeys(finding.do for finding in grave))
    )
