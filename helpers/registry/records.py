"""Measurements and decisions on a version, each an own document artifact, so that writers never overwrite each other.

The registry has no transactions and a PATCH replaces all custom properties at once. So a version's `baseline_…`,
`use_case_…` and `approval…` properties are never edited: they are derived from all its documents, written, read
back, and written again until they agree with the documents. The last writer always sees every earlier document.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from helpers.errors import InvalidInput, StoreFailed
from helpers.registry.listing import list_artifacts, list_versions
from helpers.registry.properties import Property, decode, encode, storable

if TYPE_CHECKING:
    from mr_openapi import ModelRegistryServiceApi

RECORD, DECISION = "record-", "approval-"
PREFIXES = {"baseline": "baseline_", "use-case": "use_case_"}
STATES = ("candidate", "approved", "rejected")
VERSION_ID = "model_version_id"
DOCUMENT = "doc-artifact"
ROUNDS = 50
Document = dict[str, Any]


@dataclass(frozen=True)
class AttachedRecord:
    """One measurement of one version: where its record lies and its main figures."""

    name: str
    version: str
    model_version_id: str
    record_id: str
    uri: str
    summary: dict[str, Property]


async def attach_record(
    api: ModelRegistryServiceApi, version_id: str, record_id: str, uri: str, summary: Mapping[str, Property]
) -> None:
    """Attach a record under its id, once, and bring the version's properties up to date."""
    if summary.get("purpose") not in PREFIXES:
        raise InvalidInput(
            f"Record {record_id}: purpose is {summary.get('purpose')!r}", do=f"Use {' or '.join(PREFIXES)}"
        )
    name = f"{RECORD}{record_id}"
    known = await list_artifacts(api, DOCUMENT, version_id)
    if not any(document.get("name", "") == name for document in known):
        await _post(api, version_id, name, uri, {**storable(summary), "record_id": record_id})
    await converge(api, version_id)


async def set_approval(api: ModelRegistryServiceApi, version_id: str, state: str, reasons: Sequence[str]) -> None:
    """Record ModelOps' decision and bring the version's properties up to date."""
    if state not in STATES:
        raise InvalidInput(
            f"Approval {state!r} of version {version_id} is unknown", do=f"Use one of {', '.join(STATES)}"
        )
    decision = {"approval": state, "approval_reasons": "; ".join(reasons)}
    shown = decode((await _read(api, version_id)).get("customProperties"))
    latest = _newest(await list_artifacts(api, DOCUMENT, version_id), DECISION)
    decided = decode(latest.get("customProperties")) if latest else {}
    if any(source.get(key) != value for source in (decided, shown) for key, value in decision.items()):
        await _post(api, version_id, f"{DECISION}{uuid.uuid4().hex}", "", decision)
    await converge(api, version_id)


async def list_records(api: ModelRegistryServiceApi, name: str = "", version: str = "") -> list[AttachedRecord]:
    """Return the records of all versions, oldest first, or only those of one model or version."""
    versions = {item.model_version_id: item for item in await list_versions(api)}
    found = []
    for document in await list_artifacts(api, DOCUMENT):
        properties = decode(document.get("customProperties"))
        owner = versions.get(str(properties.pop(VERSION_ID, "")))
        if owner is None or not document.get("name", "").startswith(RECORD):
            continue
        if name in ("", owner.name) and version in ("", owner.version):
            record_id = str(properties.pop("record_id"))
            uri = document.get("uri", "")
            found.append(AttachedRecord(owner.name, owner.version, owner.model_version_id, record_id, uri, properties))
    return found


async def converge(api: ModelRegistryServiceApi, version_id: str) -> None:
    """Write what the documents say into the version until it is there; raises StoreFailed if that never settles."""
    from mr_openapi import MetadataValue, ModelVersionUpdate

    for _ in range(ROUNDS):
        # Documents first: one that is added after this read is brought in by whoever added it.
        documents = await list_artifacts(api, DOCUMENT, version_id)
        current = await _read(api, version_id)
        raw = current.get("customProperties", {})
        wanted = derive(documents, decode(raw))
        if wanted == decode(raw):
            return
        kept = {name: value for name, value in raw.items() if name not in decode({name: value})}
        properties = {key: MetadataValue.from_dict(value) for key, value in {**kept, **encode(wanted)}.items()}
        # The state is sent along because the server resets one that is absent.
        update = ModelVersionUpdate(customProperties=properties, state=current.get("state"))
        await api.update_model_version(version_id, update)
    raise StoreFailed(f"The properties of version {version_id} did not settle", do="Run this stage again")


def derive(documents: Sequence[Document], properties: Mapping[str, Property]) -> dict[str, Property]:
    """Return the properties that the documents ask for, over those that nobody derives."""
    wanted = dict(properties)
    for purpose, prefix in PREFIXES.items():
        if newest := _newest(documents, RECORD, purpose):
            wanted = {name: value for name, value in wanted.items() if not name.startswith(prefix)}
            wanted |= _figures(newest, prefix)
    decision = _newest(documents, DECISION)
    # Once applied, a decision is not applied again: a person may have changed it in the dashboard since.
    if decision and wanted.get("approval_decision") != decision["name"]:
        decided = decode(decision["customProperties"])
        wanted |= {key: decided[key] for key in ("approval", "approval_reasons")}
        wanted["approval_decision"] = decision["name"]
    return wanted


def _figures(document: Document, prefix: str) -> dict[str, Property]:
    summary = decode(document["customProperties"])
    figures = {
        f"{prefix}{key}": value for key, value in summary.items() if key not in ("purpose", "record_id", VERSION_ID)
    }
    return {**figures, f"{prefix}record": summary["record_id"]}


def _newest(documents: Sequence[Document], kind: str, purpose: str = "") -> Document | None:
    fitting = [
        document
        for document in documents
        if document.get("name", "").startswith(kind)
        and (not purpose or decode(document.get("customProperties")).get("purpose") == purpose)
    ]
    return max(fitting, key=lambda document: int(document["id"]), default=None)


async def _read(api: ModelRegistryServiceApi, version_id: str) -> dict[str, Any]:
    return (await api.get_model_version(version_id)).to_dict()


async def _post(
    api: ModelRegistryServiceApi, version_id: str, name: str, uri: str, properties: Mapping[str, Property]
) -> None:
    from mr_openapi import Artifact
    from mr_openapi.exceptions import ConflictException

    # A list of all artifacts does not say whose they are, so the document says it.
    marked = encode({**properties, VERSION_ID: version_id})
    body = {"artifactType": DOCUMENT, "name": name, "uri": uri, "state": "LIVE", "customProperties": marked}
    try:
        await api.upsert_model_version_artifact(version_id, Artifact.from_dict(body))
    except ConflictException:
        return  # somebody attached the same document at the same moment
