"""What the regression gate found of a record, or a person accepted: it decides on the next run's baseline."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from helpers.artifacts import now
from helpers.errors import InvalidInput
from helpers.registry.connection import Connection
from helpers.registry.documents import DOCUMENT, VERDICT, of_kind, post, properties_of
from helpers.registry.listing import list_artifacts
from helpers.registry.properties import storable

STATES = ("pass", "fail", "inconclusive", "first", "accepted")
GOOD = ("pass", "first", "accepted")  # what later records are held against


@dataclass(frozen=True)
class Verdict:
    """One verdict on one record. `against` is the record that it was held against; `by` and `reason` are a person's."""

    record_id: str
    state: str
    against: str = ""
    by: str = ""
    reason: str = ""
    decided_at: str = ""


def add_verdict(connection: Connection, version_id: str, verdict: Verdict) -> None:
    """Attach the verdict to the version, unless the newest one on this record says the same.

    Raises InvalidInput for an unknown state, and for a person's verdict without a reason.
    """
    if verdict.state not in STATES:
        raise InvalidInput(f"Verdict {verdict.state!r} is unknown", do=f"Use one of {', '.join(STATES)}")
    if verdict.state == "accepted" and not (verdict.by.strip() and verdict.reason.strip()):
        raise InvalidInput(f"Record {verdict.record_id} is accepted without a reason", do="Say why, in one sentence")
    said = storable(
        {
            "record_id": verdict.record_id,
            "state": verdict.state,
            "against": verdict.against,
            "by": verdict.by,
            "reason": verdict.reason,
        }
    )
    documents = [properties_of(each) for each in of_kind(list_artifacts(connection, DOCUMENT, version_id), VERDICT)]
    before = [found for found in documents if found.get("record_id") == verdict.record_id]
    if not before or any(before[-1].get(key, "") != value for key, value in said.items()):
        stamped = {**said, "decided_at": f"{now():%Y-%m-%dT%H:%M:%SZ}"}
        post(connection, version_id, f"{VERDICT}{uuid.uuid4().hex}", "", stamped)


def list_verdicts(connection: Connection) -> list[Verdict]:
    """Return the verdicts on all versions' records, oldest first."""
    found = map(properties_of, of_kind(list_artifacts(connection, DOCUMENT), VERDICT))
    fields = ("record_id", "state", "against", "by", "reason", "decided_at")
    return [Verdict(*(str(each.get(field, "")) for field in fields)) for each in found]
