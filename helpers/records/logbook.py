"""Write a record to registry, store and catalog."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from helpers import records, storage
from helpers.artifacts import AnyMeasurement, Endpoint, Evaluation, Record, Selection, read_measurements
from helpers.artifacts.names import OWN
from helpers.datasets.criteria import QUALITY, Criteria, load_criteria
from helpers.errors import DigestMismatch, InvalidCriteria, InvalidInput
from helpers.ingestion.policy import Policy, load_policy
from helpers.records import reading
from helpers.records.approving import require_measured
from helpers.records.catalog import pack_catalog, write_catalog
from helpers.records.reuse.files import digests
from helpers.records.standing import find_standing
from helpers.registry import Registry
from helpers.runtime import keys, parameters


class Settings(parameters.Asking):
    """Under which heading a measurement is logged, and what ModelOps asks of it."""

    asks = "musts"

    purpose: Literal["baseline", "use-case"] = "use-case"
    use_case: str = Field(default="ops-assistant", pattern=OWN)
    use_case_files: dict[str, str] = Field(default={}, description="digest of each file of the use case, by its path")
    trigger: str = Field(
        default="none",
        pattern=r"^(none|[A-Za-z]\w{0,80} since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)$",
        description="which alert started the run, where nobody did",
    )
    store: Annotated[str, parameters.held_by(storage.check_form)] = "local"
    asked: dict[str, str] = Field(default={}, description="task of each evaluation that the use case names")
    decide_approval: bool = False
    policy: Path = Field(default=Path("policy.yaml"), description="known by its digest beside a decision")
    criteria: Path = Field(default=Path("datasets/baseline/criteria.yaml"), description="decide on the approval")


def log(settings: Settings, registry: Registry, folder: Path) -> Record:
    """Join the artifacts in `folder` and log them to store, catalog and registry; a second time changes nothing.

    Results that a record of this version, purpose and use case holds already are not logged again: that record stands.
    A decision on the approval is made in any case, but by all of the questions only.
    """
    rules = _rules(settings) if settings.decide_approval else None
    signs = keys.can_sign(keys.MEASURING)
    if signs or settings.purpose == "baseline":
        keys.signing_key(keys.MEASURING)  # what nobody signs is no baseline: told before anything is written
    joined = _join(settings, folder, rules, registry)
    if joined.endpoint.target == "existing" and (rules or settings.purpose == "baseline"):
        raise InvalidInput(
            f"{joined.selection.label} was measured at {joined.endpoint.url}, whose weights are unknown",
            do="Log it with PURPOSE=use-case and without DECIDE_APPROVAL, or serve the version with model-ops",
        )
    if (rules or settings.purpose == "baseline") and (foreign := [e.name for e in joined.measurements if e.imported]):
        raise InvalidInput(
            f"{', '.join(foreign)} of {joined.selection.label} was imported: another tool measured it",
            do="Measure a baseline with model-ops, or log it with PURPOSE=use-case and without DECIDE_APPROVAL",
        )
    if rules and (why := ", ".join(_partial(joined, rules.criteria))):
        print(f"{joined.selection.label} is neither approved nor rejected: {why} decides nothing.")
        rules = None
    if rules:
        require_measured(joined, settings.asked, folder)
    record = find_standing(joined, registry) or joined
    if rules:
        record = record.model_copy(update={"approval": records.decide(record, rules.criteria)})
    if record.record_id == joined.record_id:
        record = _write(record, settings, registry, folder, signs)
    else:
        print(f"Record {record.record_id} of {record.selection.label} holds these results already and stands.")
        write_catalog(record, folder / "catalog")
    pack_catalog(folder / "catalog")
    if rules and record.approval:
        decided = (joined.selection.model_version_id, record.approval.state, record.approval.reasons)
        said = {"record": record.record_id, "record_digest": record.digest, **rules.digests}
        days = rules.policy.review.days
        registry.set_approval(*decided, **said, measurements=records.summaries(record), review_days=days)
    return record


class Rules(NamedTuple):
    """By what an approval is decided."""

    policy: Policy
    criteria: Criteria

    @property
    def digests(self) -> dict[str, str]:
        """The digests of both files."""
        return {"policy_digest": self.policy.digest, "criteria_digest": self.criteria.digest}


def _rules(settings: Settings) -> Rules:
    """Return the policy and the criteria. Raises InvalidPolicy, or InvalidCriteria also where nothing must hold."""
    rules = Rules(load_policy(settings.policy), load_criteria(settings.criteria))
    if not rules.criteria.musts:
        raise InvalidCriteria(
            f"{settings.criteria}: no line has a must, so that every model would be approved",
            do=f'Write {QUALITY}: {{must: ">= 0.3"}}, for example',
        )
    return rules


def _partial(record: Record, criteria: Criteria) -> Iterator[str]:
    """Yield why measurements are none of everything that was to be asked, of evaluations those that decide."""
    for each in record.measurements:
        if not isinstance(each, Evaluation):
            why = each.partial
        else:
            why = each.short_of(criteria.coverage) if each.name in criteria.deciding else ""
        if why:
            yield why


def _join(settings: Settings, folder: Path, rules: Rules | None, registry: Registry) -> Record:
    selection = Selection.read(folder)
    measurements, others = read_measurements(folder)
    if others:
        print(f"{', '.join(others)} in {folder}: of another run, and left out.")
    return records.join(
        selection,
        Endpoint.read(folder),
        measurements,
        raw_digests=_raw_digests(measurements, folder),
        purpose=settings.purpose,
        use_case=settings.use_case,
        use_case_files=settings.use_case_files,
        settings={"decide_approval": settings.decide_approval, **(rules.digests if rules else {})},
        parent=_parent(selection, registry),
        trigger="" if settings.trigger == "none" else settings.trigger,
    )


def _parent(selection: Selection, registry: Registry) -> str:
    """Return the digest of the version that the selected one was tuned from, "" where it was not tuned here."""
    own = (v for v in registry.versions() if v.model_version_id == selection.model_version_id)
    return next((str(version.properties.get("parent_digest", "")) for version in own), "")


def _raw_digests(measurements: Sequence[AnyMeasurement], folder: Path) -> dict[str, str]:
    """Return the digest of each raw file. Raises DigestMismatch for one that changed since it was measured."""
    found = digests(folder, [name for each in measurements for name in each.raw.values()])
    for name, known in ((name, known) for each in measurements for name, known in each.files.items()):
        if found.get(name) != known:
            raise DigestMismatch(f"{folder / name} is not the file that was measured", do="Run its stage again")
    return found


def _write(record: Record, settings: Settings, registry: Registry, folder: Path, signs: bool) -> Record:
    """Write the record with its raw files; the registry comes last, so that a record which can be found is complete."""
    selection = record.selection
    place = f"{storage.resolve(settings.store)}/records/{selection.name}/{selection.version}/{record.record_id}"
    files = [item for each in record.measurements for item in each.raw.items()]
    names = [name for what, name in files if what != "page" or (folder / name).is_file()]
    raw = {name: storage.put(folder / name, f"{place}/{name}") for name in names}
    record = record.model_copy(update={"raw": raw})
    for path in write_catalog(record, folder / "catalog"):
        storage.put(path, f"{place}/catalog/{path.name}")
    uri = storage.put(record.model_dump_json(indent=2).encode(), f"{place}/{Record.filename}")
    if signs:
        reading.sign(record, uri)
    else:
        print(f"Nobody signed record {record.record_id}: there is no {keys.MEASURING.private}. It is never taken over.")
    found = (records.summary(record), records.summaries(record))
    registry.attach_record(selection.model_version_id, record.record_id, uri, *found)
    return record
