"""Which earlier record a candidate is held against."""

from __future__ import annotations

from collections.abc import Sequence

from helpers import storage
from helpers.artifacts import Record
from helpers.errors import NotFound
from helpers.registry import AttachedRecord, Registry

SAME = ("purpose", "use_case", "task")


def find_baseline(registry: Registry, candidate: Record, name: str = "", version: str = "") -> Record:
    """Return the newest earlier record under the candidate's purpose, use case and task.

    Without a `version` it is one of another, approved version of the model `name` (the candidate's own where empty),
    else an earlier one of the candidate's version. Raises NotFound where there is none.
    """
    model = name or candidate.selection.name
    earlier = _earlier(registry.records(model), candidate)
    if version:
        found = [record for record in earlier if record.version == version]
    else:
        found = _approved(registry, earlier, candidate) or [
            record for record in earlier if record.model_version_id == candidate.selection.model_version_id
        ]
    if not found:
        asked = " ".join(filter(None, (model, version or "in an approved or earlier version")))
        raise NotFound(
            f"No record of {asked} for {candidate.use_case} and {candidate.evaluation.task} is older than "
            f"{candidate.record_id}",
            do="Set BASELINE_NAME and BASELINE_VERSION to a version that was measured on this use case",
        )
    return Record.model_validate_json(storage.get(found[-1].uri))


def _earlier(records: Sequence[AttachedRecord], candidate: Record) -> list[AttachedRecord]:
    """Return the records of the same purpose, use case and task; the registry lists them oldest first."""
    asked = {"purpose": candidate.purpose, "use_case": candidate.use_case, "task": candidate.evaluation.task}
    ids = [record.record_id for record in records]
    before = records[: ids.index(candidate.record_id)] if candidate.record_id in ids else records
    return [record for record in before if asked.items() <= record.summary.items()]


def _approved(registry: Registry, records: Sequence[AttachedRecord], candidate: Record) -> list[AttachedRecord]:
    own = candidate.selection.model_version_id
    good = {v.model_version_id for v in registry.versions() if v.properties.get("approval") == "approved"}
    return [record for record in records if record.model_version_id in good - {own}]
