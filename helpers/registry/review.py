"""When an approval has to be looked at again: on a day, or as soon as what it rests on has changed.

What is in use now is what the registry saw last: the policy of the newest decision, the scanners of the newest model,
and for each kind of hardware the engine of the newest record. A person who approves has seen what there was until then.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from helpers.artifacts import now
from helpers.registry.documents import RECORD, VERSION_ID, Document, Version, of_kind, properties_of
from helpers.registry.history import Decision, History
from helpers.registry.properties import Property

DAYS = 180  # where no policy says another number
SECOND = len("2026-12-01T09:30:00")  # all are in UTC, and say it in two ways


@dataclass(frozen=True)
class Review:
    """The day by which an approval has to be looked at again, and what has changed since it was given."""

    by: date
    changed: tuple[str, ...] = ()

    @property
    def due(self) -> bool:
        """Whether somebody has to look at it now."""
        return bool(self.changed) or self.by <= now().date()

    def __str__(self) -> str:
        if not self.due:
            return f"by {self.by}"
        passed = [f"it was to be reviewed by {self.by}"] if self.by <= now().date() else []
        return f"due: {'; '.join([*passed, *self.changed])}"


Histories = Sequence[tuple[Version, History]]
Properties = Mapping[str, Property]


def review_by(days: int) -> str:
    """Return the day so many days from now, as a decision has it."""
    return str(now().date() + timedelta(days=days))


def reviews(histories: Histories, documents: Sequence[Document], policy: str = "") -> dict[str, Review]:
    """Return the review of each approved version by its id; `policy` is the digest of the policy that holds now."""
    records = sorted((properties_of(each) for each in of_kind(documents, RECORD)), key=_ended)
    policy = policy or _newest_policy(histories)
    newest = max((version.properties for version, _ in histories), key=_ingested, default={})
    found = {}
    for version, history in histories:
        if history.doubt or not (link := history.standing) or link.said.state != "approved":
            continue
        own = [each for each in records if each.get(VERSION_ID) == version.model_version_id]
        seen = link.said.decided_at[:SECOND] if link.said.by else ""
        changed = list(_policy(version, history, policy))
        changed += _scanners(version.properties, newest if _ingested(newest) > seen else {})
        changed += _engine(_decided_on(link.said, own), [each for each in records if _ended(each) > seen])
        found[version.model_version_id] = Review(_day(link.said), tuple(changed))
    return found


def _ended(record: Properties) -> str:
    return str(record.get("ended", ""))[:SECOND]


def _ingested(properties: Properties) -> str:
    return str(properties.get("ingested_at", ""))[:SECOND]


def _day(decision: Decision) -> date:
    if decision.review_by:
        return date.fromisoformat(decision.review_by)
    return datetime.fromisoformat(decision.decided_at).date() + timedelta(days=DAYS)  # of before


def _newest_policy(histories: Histories) -> str:
    decisions = [link.said for _, history in histories for link in history.decided if link.said.policy_digest]
    return max(decisions, key=lambda decision: decision.decided_at).policy_digest if decisions else ""


def _policy(version: Version, history: History, now_holds: str) -> Iterator[str]:
    """Yield that the policy is another one than a file's last decision followed, or the version came in under."""
    known = [link.said.policy_digest for link in history.chain if link.said.policy_digest]
    then = known[-1] if known else str(version.properties.get("policy_digest", ""))
    if then and now_holds and then != now_holds:
        yield "the policy has changed"


def _scanners(then: Properties, newest: Properties) -> Iterator[str]:
    one, other = (_versions(properties) for properties in (then, newest))
    for name in sorted(one.keys() & other.keys()):
        if one[name] != other[name]:
            yield f"{name} {one[name]} scanned it, and {other[name]} is in use"


def _versions(properties: Properties) -> dict[str, str]:
    try:
        found = json.loads(str(properties.get("scanners", "{}")))
    except ValueError:  # another tool's
        return {}
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def _decided_on(decision: Decision, records: Sequence[Properties]) -> Properties:
    """Return the record that a decision names, else the version's newest baseline."""
    named = [each for each in records if each.get("record_id") == decision.record]
    baselines = [each for each in records if each.get("purpose") == "baseline"]
    return (named or baselines or [{}])[-1]


def _engine(measured: Properties, records: Sequence[Properties]) -> Iterator[str]:
    """Yield that the same engine has another version now on the same hardware."""
    name, _, then = str(measured.get("engine", "")).partition(" ")
    alike = [str(each.get("engine", "")).partition(" ") for each in records if _same_place(each, measured)]
    versions = [version for engine, _, version in alike if engine == name]
    if then and versions and versions[-1] != then:
        yield f"{name} {then} served it when it was measured, and {versions[-1]} is in use"


def _same_place(record: Properties, measured: Properties) -> bool:
    return record.get("hardware") == measured.get("hardware") and not record.get("unverified")
