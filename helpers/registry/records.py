"""Measurements and decisions on a version, each an own document artifact, so that writers never overwrite each other.

The registry has no transactions and a PATCH replaces all custom properties at once. So a version's `baseline_…`,
`use_case_…` and `approval…` properties are never edited: they are derived from all its documents, written, read
back, and written again until they agree with the documents. The last writer always sees every earlier document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from helpers.errors import InvalidInput, StoreFailed
from helpers.registry.connection import Connection
from helpers.registry.decisions import SHOWN, Decision, add_decision, standing
from helpers.registry.documents import DOCUMENT, RECORD, VERSION_ID, Document, of_kind, post, properties_of
from helpers.registry.listing import list_artifacts, list_versions
from helpers.registry.properties import (
    LONGEST_URI,
    Property,
    bounded,
    decode,
    encode,
    folded,
    sendable,
    storable,
)

PREFIXES = {"baseline": "baseline_", "use-case": "use_case_"}
ROUNDS = 50


@dataclass(frozen=True)
class AttachedRecord:
    """One measurement of one version: where its record lies and its main figures."""

    name: str
    version: str
    model_version_id: str
    record_id: str
    uri: str
    summary: dict[str, Property]


def attach_record(
    connection: Connection, version_id: str, record_id: str, uri: str, summary: Mapping[str, Property]
) -> None:
    """Attach a record under its id, once, and bring the version's properties up to date."""
    if summary.get("purpose") not in PREFIXES:
        raise InvalidInput(
            f"Record {record_id}: purpose is {summary.get('purpose')!r}", do=f"Use {' or '.join(PREFIXES)}"
        )
    name = f"{RECORD}{record_id}"
    bounded("Record", name)
    bounded("Address", uri, LONGEST_URI)
    properties = storable({**summary, "record_id": record_id})
    known = list_artifacts(connection, DOCUMENT, version_id)
    if not any(document.get("name", "") == name for document in known):
        post(connection, version_id, name, uri, properties)
    converge(connection, version_id)


def set_approval(connection: Connection, version_id: str, decision: Decision) -> None:
    """Record a decision and bring the version's properties up to date."""
    add_decision(connection, version_id, decision)
    converge(connection, version_id)


def list_records(connection: Connection, name: str = "", version: str = "") -> list[AttachedRecord]:
    """Return the records of all versions, oldest first, or only those of one model or version."""
    documents = of_kind(list_artifacts(connection, DOCUMENT), RECORD)
    versions = {item.model_version_id: item for item in list_versions(connection)}
    found = []
    for document in documents:
        properties = properties_of(document)
        owner = versions.get(str(properties.pop(VERSION_ID, "")))
        if owner and name in ("", owner.name) and version in ("", owner.version):
            record_id = str(properties.pop("record_id"))
            uri = document.get("uri", "")
            found.append(AttachedRecord(owner.name, owner.version, owner.model_version_id, record_id, uri, properties))
    return found


def converge(connection: Connection, version_id: str) -> None:
    """Write what the documents say into the version until it is there; raises StoreFailed if that never settles.

    Only properties that change are written anew, under our spelling; the others go back as they came, whoever made
    them: the registry replaces all at once.
    """
    for _ in range(ROUNDS):
        # Documents first: one that is added after this read is brought in by whoever added it.
        documents = list_artifacts(connection, DOCUMENT, version_id)
        current = connection.get("model_versions", version_id)
        raw = current.get("customProperties") or {}
        have = decode(raw)
        wanted = derive(documents, have)
        if wanted == have:
            return
        changed = {name for name in {*wanted, *have} if wanted.get(name) != have.get(name)}
        kept = {name: sendable(value) for name, value in raw.items() if folded(name) not in changed}
        written = encode({name: wanted[name] for name in changed if name in wanted})
        # The state is sent along because the server resets one that is absent.
        body = {"customProperties": {**kept, **written}, "state": current.get("state", "LIVE")}
        connection.patch("model_versions", version_id, body=body)
    raise StoreFailed(f"The properties of version {version_id} did not settle", do="Run this stage again")


def derive(documents: Sequence[Document], properties: Mapping[str, Property]) -> dict[str, Property]:
    """Return the properties that the documents ask for, over those that nobody derives."""
    wanted = dict(properties)
    for purpose, prefix in PREFIXES.items():
        records = [found for found in of_kind(documents, RECORD) if properties_of(found).get("purpose") == purpose]
        if records:
            wanted = {name: value for name, value in wanted.items() if not name.startswith(prefix)}
            wanted |= _figures(records[-1], prefix)
    decision = standing(documents)
    # Once applied, a decision is not applied again: a person may have changed it in the dashboard since.
    if decision and wanted.get("approval_decision") != decision["name"]:
        decided = properties_of(decision)
        wanted |= {key: decided.get(key, "") for key in SHOWN}
        wanted["approval_decision"] = decision["name"]
    return wanted


def _figures(document: Document, prefix: str) -> dict[str, Property]:
    summary = properties_of(document)
    figures = {
        f"{prefix}{key}": value for key, value in summary.items() if key not in ("purpose", "record_id", VERSION_ID)
    }
    return {**figures, f"{prefix}record": summary["record_id"]}
