"""Measurements and decisions on a version, each an own document artifact, so that writers never overwrite each other.

The registry has no transactions and a PATCH replaces all custom properties at once. So a version's `baseline_…`,
`use_case_…` and `approval…` properties are never edited: they are derived from all its documents, written, read
back, and written again until they agree with the documents. The last writer always sees every earlier document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from helpers.errors import InvalidInput, StoreFailed
from helpers.registry.decisions import SHOWN, Decision, add_decision, standing
from helpers.registry.documents import DOCUMENT, RECORD, VERSION_ID, Document, of_kind, post, properties_of
from helpers.registry.listing import list_artifacts, list_versions
from helpers.registry.properties import Property, decode, encode, storable

if TYPE_CHECKING:
    from mr_openapi import ModelRegistryServiceApi

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
        await post(api, version_id, name, uri, {**storable(summary), "record_id": record_id})
    await converge(api, version_id)


async def set_approval(api: ModelRegistryServiceApi, version_id: str, decision: Decision) -> None:
    """Record a decision and bring the version's properties up to date."""
    await add_decision(api, version_id, decision)
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


async def _read(api: ModelRegistryServiceApi, version_id: str) -> dict[str, Any]:
    return (await api.get_model_version(version_id)).to_dict()
