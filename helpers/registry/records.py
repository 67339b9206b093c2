"""Measurements and decisions on a version, each an own document artifact, so that writers never overwrite each other.

A record is a document with its circumstances, and one more for each of its measurements. The registry has no
transactions and a PATCH replaces all custom properties at once. So a version's `baseline.NAME.…`,
`usecase.USE_CASE.NAME.…` and `approval…` properties are never edited: they are derived from all its documents,
written, read back, and written again until they agree with the documents. The last writer always sees every earlier
document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from helpers.artifacts import upgrading
from helpers.errors import InvalidInput, StoreFailed
from helpers.registry.connection import Connection
from helpers.registry.decisions import Withdrawal, add_decision, add_withdrawal, withdrawn
from helpers.registry.documents import (
    DECISION,
    DOCUMENT,
    MEASUREMENT,
    RECORD,
    VERSION_ID,
    Document,
    list_artifacts,
    list_versions,
    of_kind,
    post,
    properties_of,
    read_version,
)
from helpers.registry.history import APPLIED, BASELINE, Decision
from helpers.registry.judging import read_history
from helpers.registry.properties import (
    LONGEST_URI,
    Property,
    ascii_text,
    bounded,
    decode,
    encode,
    folded,
    sendable,
    storable,
)

PURPOSES = ("baseline", "use-case")
USE_CASE = "usecase."
NOT_SHOWN = {"identity", "answers_identity", "ended"}  # of a measurement, among a version's properties
ROUNDS = 50


@dataclass(frozen=True)
class AttachedRecord:
    """One record of one version: where it lies, its circumstances, and the figures of each measurement by name."""

    name: str
    version: str
    model_version_id: str
    record_id: str
    uri: str
    summary: dict[str, Property]
    measurements: dict[str, dict[str, Property]] = field(default_factory=dict)
    withdrawal: Withdrawal | None = None

    def has(self, **properties: Property) -> bool:
        """Return whether one of the measurements has these properties."""
        return any(properties.items() <= found.items() for found in self.measurements.values())


def attach_record(
    connection: Connection,
    version_id: str,
    record_id: str,
    uri: str,
    summary: Mapping[str, Property],
    measurements: Mapping[str, Mapping[str, Property]],
) -> None:
    """Attach a record under its id, once, and bring the version's properties up to date.

    The measurements come first, so that a record which can be found has all of them.
    """
    if summary.get("purpose") not in PURPOSES:
        raise InvalidInput(
            f"Record {record_id}: purpose is {summary.get('purpose')!r}", do=f"Use {' or '.join(PURPOSES)}"
        )
    name = f"{RECORD}{record_id}"
    bounded("Record", name)
    bounded("Address", uri, LONGEST_URI)
    documents = {
        f"{MEASUREMENT}{record_id}-{each}": storable({**figures, "record_id": record_id, "name": each})
        for each, figures in measurements.items()
    }
    documents[name] = storable({**summary, "record_id": record_id})
    known = {document.get("name", "") for document in list_artifacts(connection, DOCUMENT, version_id)}
    for each, properties in documents.items():
        if each not in known:
            post(connection, version_id, each, uri, properties)
    converge(connection, version_id)


def set_approval(connection: Connection, version_id: str, decision: Decision) -> None:
    """Record a decision and bring the version's properties up to date."""
    add_decision(connection, version_id, decision)
    converge(connection, version_id)


def list_records(
    connection: Connection, name: str = "", version: str = "", *, also_withdrawn: bool = False
) -> list[AttachedRecord]:
    """Return the records of all versions, oldest first, or only those of one model or version."""
    everything = list_artifacts(connection, DOCUMENT)
    documents, gone, measured = of_kind(everything, RECORD), withdrawn(everything), _measured(everything)
    versions = {item.model_version_id: item for item in list_versions(connection)}
    found = []
    for document in documents:
        properties = properties_of(document)
        owner = versions.get(str(properties.pop(VERSION_ID, "")))
        if owner and name in ("", owner.name) and version in ("", owner.version):
            record_id = str(properties.pop("record_id"))
            if record_id in gone and not also_withdrawn:
                continue
            summary, figures = _parts(record_id, properties, measured)
            found.append(
                AttachedRecord(
                    *(owner.name, owner.version, owner.model_version_id, record_id),
                    *(document.get("uri", ""), summary, figures, gone.get(record_id)),
                )
            )
    return found


Figures = dict[str, dict[str, Property]]  # properties of measurements by their names


def _measured(documents: Sequence[Document]) -> dict[str, Figures]:
    """Return the measurements' properties by record, then by name."""
    found: dict[str, Figures] = {}
    for document in of_kind(documents, MEASUREMENT):
        properties = properties_of(document)
        properties.pop(VERSION_ID, None)
        record_id, name = str(properties.pop("record_id", "")), str(properties.pop("name", ""))
        found.setdefault(record_id, {})[name] = properties
    return found


def _parts(
    record_id: str, properties: dict[str, Property], measured: Mapping[str, Figures]
) -> tuple[dict[str, Property], Figures]:
    if upgrading.of_version_1(properties):
        return upgrading.summary(properties)
    return properties, measured.get(record_id, {})


def withdraw(connection: Connection, version_id: str, withdrawal: Withdrawal) -> None:
    """Withdraw a record and bring the version's properties up to date."""
    add_withdrawal(connection, version_id, withdrawal)
    converge(connection, version_id)


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
        wanted = derive(documents, have) | _decided(connection, version_id, documents, have)
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
    wanted, gone, measured = dict(properties), withdrawn(documents), _measured(documents)
    records = [properties_of(found) for found in of_kind(documents, RECORD)]
    if records:
        wanted = {name: value for name, value in wanted.items() if not _derived(name)}
    newest = _newest([record for record in records if record["record_id"] not in gone], measured)
    wanted |= {f"{place}{key}": value for place, found in newest.items() for key, value in found.items()}
    return wanted


def _decided(
    connection: Connection, version_id: str, documents: Sequence[Document], have: Mapping[str, Property]
) -> dict[str, Property]:
    """Return what the version is to show of the decision that holds; nothing where the history is doubtful.

    Once applied, a decision is not applied again: what somebody changed since stays to be seen, and approves nothing.
    """
    if not of_kind(documents, DECISION):
        return {}
    link = read_history(read_version(connection, version_id), documents).standing
    if link is None or link.decision is None or have.get(APPLIED) == link.document:
        return {}
    return {**link.decision.shown(), APPLIED: link.document}


def _derived(name: str) -> bool:
    return name.startswith((BASELINE, USE_CASE)) or upgrading.is_property(name)


def shown_baseline(measurements: Mapping[str, Mapping[str, Property]], record_id: str) -> dict[str, Property]:
    """Return the properties by which a version shows a record's measurements as its baseline."""
    return {
        folded(f"{place}{key}"): value
        for place, figures in _places(BASELINE, measurements, record_id)
        for key, value in storable(figures).items()
    }


def _places(
    prefix: str, measurements: Mapping[str, Mapping[str, Property]], record_id: str
) -> Iterator[tuple[str, dict[str, Property]]]:
    """Yield where a version shows each measurement, and which figures of it."""
    for name, figures in measurements.items():
        shown = {key: value for key, value in figures.items() if key not in NOT_SHOWN}
        yield folded(ascii_text(f"{prefix}{name}.")), {**shown, "record": record_id}


def _newest(records: Sequence[dict[str, Property]], measured: Mapping[str, Figures]) -> Figures:
    """Return the newest measurement of each name by its place; a trial takes the place of no whole measurement."""
    found: Figures = {}
    for record in records:
        summary, figures = _parts(str(record["record_id"]), dict(record), measured)
        prefix = BASELINE if summary.get("purpose") == "baseline" else f"{USE_CASE}{summary.get('use_case', '')}."
        for place, shown in _places(prefix, figures, str(record["record_id"])):
            if not (shown.get("partial") and not found.get(place, {"partial": True}).get("partial")):
                found[place] = shown
    return found
