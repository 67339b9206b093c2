"""What people and policies decide: on a version, on a record (verdicts), and that a record was wrong (withdrawals).

Every decision is kept as a document of its own, and a person's outlives the policy's.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from helpers.artifacts import now
from helpers.artifacts.deployment import UNKNOWN
from helpers.errors import InvalidInput
from helpers.registry.connection import Connection
from helpers.registry.documents import (
    DECISION,
    DOCUMENT,
    VERDICT,
    WITHDRAWAL,
    Document,
    list_artifacts,
    of_kind,
    post,
    properties_of,
)  # fmt: skip
from helpers.registry.properties import Property, decode, storable

STATES = ("candidate", "approved", "rejected")
SHOWN = ("approval", "approval_reasons", "approval_by")
VERDICTS = ("pass", "fail", "inconclusive", "first", "accepted")
GOOD = ("pass", "first", "accepted")  # what later records are held against


@dataclass(frozen=True)
class Decision:
    """One decision on one version. `by` is a person's name; empty where files decided, whose digests it then has."""

    state: str
    reasons: str
    by: str = ""
    policy_digest: str = ""
    criteria_digest: str = ""
    decided_at: str = ""

    def properties(self) -> dict[str, Property]:
        """Return the decision as a document's properties; those of `SHOWN` appear on the version too."""
        shown = dict(zip(SHOWN, (self.state, self.reasons, self.by), strict=True))
        return storable({**shown, "policy_digest": self.policy_digest, "criteria_digest": self.criteria_digest})


@dataclass(frozen=True)
class Verdict:
    """What the regression gate found of a record, held against another one, or that a person accepts it, and why."""

    record_id: str
    state: str
    against: str = ""
    by: str = ""
    reason: str = ""
    decided_at: str = ""


@dataclass(frozen=True)
class Withdrawal:
    """Who withdrew a record, why and when."""

    record_id: str
    by: str
    reason: str
    decided_at: str = ""


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
    """Attach the decision, unless the newest one of the same kind says the same and still holds.

    Raises InvalidInput for the approval of an endpoint.
    """
    check(decision)
    shown = decode(connection.get("model_versions", version_id).get("customProperties"))
    if decision.state == "approved" and shown.get("digest") == UNKNOWN:
        raise InvalidInput(
            f"Version {version_id} is the endpoint {shown.get('endpoint')}, whose weights are unknown",
            do="Approve a version that came in through ingest_model",
        )
    if not _repeats(decision, list_artifacts(connection, DOCUMENT, version_id), shown):
        _post(connection, version_id, f"{DECISION}{uuid.uuid4().hex}", decision.properties())


def _repeats(decision: Decision, documents: Sequence[Document], shown: dict[str, Property]) -> bool:
    said, holds = decision.properties(), standing(documents)
    same_kind = [
        found for found in map(properties_of, of_kind(documents, DECISION))
        if bool(found.get("approval_by")) == bool(decision.by)
    ]  # fmt: skip
    if holds is None or not same_kind or any(same_kind[-1].get(key, "") != value for key, value in said.items()):
        return False
    overruled = bool(properties_of(holds).get("approval_by")) and not decision.by
    return overruled or all(shown.get(key) == said[key] for key in SHOWN)


def list_decisions(connection: Connection, version_id: str) -> list[Decision]:
    """Return all decisions on a version, oldest first."""
    documents = of_kind(list_artifacts(connection, DOCUMENT, version_id), DECISION)
    return [
        Decision(*_texts(document, (*SHOWN, "policy_digest", "criteria_digest", "decided_at")))
        for document in documents
    ]


def add_verdict(connection: Connection, version_id: str, verdict: Verdict) -> None:
    """Attach the verdict to the version, unless the newest one on this record says the same.

    Raises InvalidInput for an unknown state, and for a person's verdict without a reason.
    """
    if verdict.state not in VERDICTS:
        raise InvalidInput(f"Verdict {verdict.state!r} is unknown", do=f"Use one of {', '.join(VERDICTS)}")
    if verdict.state == "accepted":
        _require_reason(f"Record {verdict.record_id} is accepted", verdict)
    said = _said(verdict)
    documents = map(properties_of, of_kind(list_artifacts(connection, DOCUMENT, version_id), VERDICT))
    before = [found for found in documents if found.get("record_id") == verdict.record_id]
    if not before or any(before[-1].get(key, "") != value for key, value in said.items()):
        _post(connection, version_id, f"{VERDICT}{uuid.uuid4().hex}", said)


def list_verdicts(connection: Connection) -> list[Verdict]:
    """Return the verdicts on all versions' records, oldest first."""
    documents = of_kind(list_artifacts(connection, DOCUMENT), VERDICT)
    return [Verdict(*_texts(document, tuple(Verdict.__dataclass_fields__))) for document in documents]


def add_withdrawal(connection: Connection, version_id: str, withdrawal: Withdrawal) -> None:
    """Attach it to the version; the first one of a record stays. Raises InvalidInput where name or reason is empty."""
    _require_reason(f"Record {withdrawal.record_id} is withdrawn", withdrawal)
    _post(connection, version_id, f"{WITHDRAWAL}{withdrawal.record_id}", _said(withdrawal))


def withdrawn(documents: Sequence[Document]) -> dict[str, Withdrawal]:
    """Return the withdrawals among a version's or all documents, by the record's id."""
    names = tuple(Withdrawal.__dataclass_fields__)
    found = [Withdrawal(*_texts(document, names)) for document in of_kind(documents, WITHDRAWAL)]
    return {withdrawal.record_id: withdrawal for withdrawal in found}


def _require_reason(what: str, decided: Verdict | Withdrawal) -> None:
    if not (decided.by.strip() and decided.reason.strip()):
        raise InvalidInput(f"{what} without a reason", do="Say why, in one sentence")


def _said(decided: Verdict | Withdrawal) -> dict[str, Property]:
    return storable({name: value for name, value in asdict(decided).items() if name != "decided_at"})


def _post(connection: Connection, version_id: str, name: str, said: Mapping[str, Property]) -> None:
    post(connection, version_id, name, "", {**said, "decided_at": f"{now():%Y-%m-%dT%H:%M:%SZ}"})


def _texts(document: Document, names: Sequence[str]) -> Any:
    found = properties_of(document)
    return (str(found.get(name, "")) for name in names)
