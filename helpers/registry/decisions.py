"""Who decided what on a version, and why. Every decision is kept, and a person's outlives the policy's."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from helpers.artifacts import now
from helpers.errors import InvalidInput
from helpers.registry.connection import Connection
from helpers.registry.documents import DECISION, DOCUMENT, Document, of_kind, post, properties_of
from helpers.registry.listing import list_artifacts
from helpers.registry.properties import Property, decode, storable

STATES = ("candidate", "approved", "rejected")
SHOWN = ("approval", "approval_reasons", "approval_by")


@dataclass(frozen=True)
class Decision:
    """One decision on one version. `by` is a person's name; empty where a policy decided, whose digest it then has."""

    state: str
    reasons: str
    by: str = ""
    policy_digest: str = ""
    decided_at: str = ""

    def properties(self) -> dict[str, Property]:
        """Return the decision as a document's properties; those of `SHOWN` appear on the version too."""
        return storable(
            {
                "approval": self.state,
                "approval_reasons": self.reasons,
                "approval_by": self.by,
                "policy_digest": self.policy_digest,
            }
        )


def check(decision: Decision) -> None:
    """Raise InvalidInput for an unknown state, and for a person's decision without a reason."""
    if decision.state not in STATES:
        raise InvalidInput(f"Approval {decision.state!r} is unknown", do=f"Use one of {', '.join(STATES)}")
    if decision.by and not decision.reasons.strip():
        raise InvalidInput(f"{decision.by}'s decision has no reason", do="Say why, in one sentence")


def standing(documents: Sequence[Document]) -> Document | None:
    """Return the decision that holds: a person's newest, unless it hands back to the policy by "candidate"."""
    decisions = of_kind(documents, DECISION)
    persons = [document for document in decisions if properties_of(document).get("approval_by")]
    if persons and properties_of(persons[-1])["approval"] != "candidate":
        return persons[-1]
    return decisions[-1] if decisions else None


def add_decision(connection: Connection, version_id: str, decision: Decision) -> None:
    """Attach the decision, unless the newest one of the same kind says the same and still holds."""
    check(decision)
    shown = decode(connection.get("model_versions", version_id).get("customProperties"))
    documents = list_artifacts(connection, DOCUMENT, version_id)
    if not _repeats(decision, documents, shown):
        stamped = {**decision.properties(), "decided_at": f"{now():%Y-%m-%dT%H:%M:%SZ}"}
        post(connection, version_id, f"{DECISION}{uuid.uuid4().hex}", "", stamped)


def _repeats(decision: Decision, documents: Sequence[Document], shown: dict[str, Property]) -> bool:
    said, holds = decision.properties(), standing(documents)
    same_kind = [
        found for found in map(properties_of, of_kind(documents, DECISION))
        if bool(found.get("approval_by")) == bool(decision.by)
    ]  # fmt: skip
    if holds is None or not same_kind or any(same_kind[-1].get(key) != value for key, value in said.items()):
        return False
    overruled = bool(properties_of(holds).get("approval_by")) and not decision.by
    return overruled or all(shown.get(key) == said[key] for key in SHOWN)


def list_decisions(connection: Connection, version_id: str) -> list[Decision]:
    """Return all decisions on a version, oldest first."""
    documents = list_artifacts(connection, DOCUMENT, version_id)
    return [_decision(document) for document in of_kind(documents, DECISION)]


def _decision(document: Document) -> Decision:
    found = {key: str(value) for key, value in properties_of(document).items()}
    fields = ("approval", "approval_reasons", "approval_by", "policy_digest", "decided_at")
    return Decision(*(found.get(field, "") for field in fields))
