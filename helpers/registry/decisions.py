"""What people and policies decide: on a version, on a record (verdicts), and that a record was wrong (withdrawals).

Every decision is signed and kept as a document of its own (`history`), and a person's outlives the policy's.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from helpers.artifacts import now
from helpers.artifacts.deployment import UNKNOWN
from helpers.errors import InvalidInput, SignatureInvalid, StoreFailed
from helpers.registry.connection import Connection
from helpers.registry.documents import (
    DECISION,
    DOCUMENT,
    VERDICT,
    WITHDRAWAL,
    Document,
    Version,
    list_artifacts,
    of_kind,
    post,
    properties_of,
    read_version,
)
from helpers.registry.history import RETIRED, Decision, History, Link, document_name, named
from helpers.registry.judging import do_sign, read_history
from helpers.registry.properties import Property, ascii_text, storable
from helpers.runtime import keys, signing
from helpers.runtime.circumstances import account

STATES = ("candidate", "approved", "rejected", RETIRED)
ROUNDS = 50
VERDICTS = ("pass", "fail", "inconclusive", "first", "accepted")
GOOD = ("pass", "first", "accepted")  # what later records are held against


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
    if decision.state == RETIRED and not decision.by:
        raise InvalidInput("No file retires a version", do="Say who does")


def add_decision(connection: Connection, version_id: str, decision: Decision) -> None:
    """Sign the decision and attach it, unless the newest one of the same kind says the same and still holds.

    Raises InvalidInput for the approval of an endpoint or a key that is not trusted, SignatureInvalid where files would
    decide over a doubtful history: a person has to look into that.
    """
    check(decision)
    document: signing.Document | None = None
    for _ in range(ROUNDS):  # again where another process was faster
        version = read_version(connection, version_id)
        if decision.state == "approved" and version.properties.get("digest") == UNKNOWN:
            raise InvalidInput(
                f"Version {version_id} is the endpoint {version.properties.get('endpoint')}, whose weights are unknown",
                do="Approve a version that came in through ingest_model",
            )
        private = keys.signing_key(keys.MODEL_OPS)
        history = read_history(version, list_artifacts(connection, DOCUMENT, version_id))
        if document and document in {link.signed for link in history.links}:
            return  # it was attached, and the answer was lost
        if history.faults and not decision.by:
            what = f"{version.name} {version.version} cannot be decided on by files: {'; '.join(history.faults)}"
            raise SignatureInvalid(what, do=do_sign(version))
        said = _completed(decision, version, history)
        if _repeats(said, history):
            return
        name, document = document_name(said.serial), signing.sign(said.payload(), private)
        if post(connection, version_id, name, "", {**said.shown(), **document.fields()}):
            return
    raise StoreFailed(f"Others decide on version {version_id} all the time", do="Run this stage again")


def _completed(decision: Decision, version: Version, history: History) -> Decision:
    """Return the decision as it is signed: about this version, after the last one, over what is doubtful."""
    before = history.decided[-1:]
    model, number, digest = named(version)
    return replace(
        decision,
        reasons=_kept("reasons", decision.reasons),
        by=_kept("by", decision.by),
        successor=_kept("successor", decision.successor),
        model=model,
        version=number,
        digest=digest,
        account=ascii_text(account()),
        decided_at=f"{now():%Y-%m-%dT%H:%M:%SZ}",
        serial=1 + max((_number(link) for link in history.links), default=0),
        previous=before[0].digest if before else "",
        aside=tuple(link.document for link in history.links) if history.faults else (),
    )


def _kept(name: str, text: str) -> str:
    """Return a text as the registry keeps it, so that what is signed is what is read back."""
    return str(storable({name: text})[name])


def _number(link: Link) -> int:
    number = link.document.removeprefix(DECISION)
    return int(number) if number.isdecimal() and len(number) == len("000001") else 0  # names of before are longer


def _repeats(said: Decision, history: History) -> bool:
    alike = [link.decision for link in history.chain if link.decision and bool(link.decision.by) == bool(said.by)]
    standing = history.standing
    if history.faults or not (standing and standing.decision and alike and alike[-1].says(said)):
        return False
    overruled = bool(standing.decision.by) and not said.by
    return not history.shown and (overruled or standing.decision.says(said))


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
