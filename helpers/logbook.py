"""Write a record to registry, store and catalog; read the records of all versions back."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import Field

from helpers import parameters, records, storage
from helpers.artifacts import Endpoint, Evaluation, Record, Selection, Sweep
from helpers.catalog import pack_catalog, write_catalog
from helpers.comparison import Comparison, compare
from helpers.errors import ArtifactMissing, InvalidInput, NotFound
from helpers.ingestion.policy import Policy, load_policy
from helpers.registry import AttachedRecord, Registry
from helpers.standing import find_standing

READERS = 8  # a store on the network answers many small reads at once faster than one after another
SAFE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"


class Settings(parameters.Settings):
    """Under which heading a measurement is logged, and what ModelOps asks of it."""

    purpose: Literal["baseline", "use-case"] = "use-case"
    use_case: str = Field(default="ops-assistant", pattern=SAFE_NAME)
    store: str = "local"
    decide_approval: bool = False
    policy: Path = Field(default=Path("policy.yaml"), description="its thresholds decide on the approval")


def log(settings: Settings, registry: Registry, folder: Path) -> Record:
    """Join the artifacts in `folder` and log them to store, catalog and registry; a second time changes nothing.

    Results that a record of this version, purpose and use case holds already are not logged again: that record stands.
    A decision on the approval is made in any case.
    """
    policy = load_policy(settings.policy) if settings.decide_approval else None
    joined = _join(settings, folder, policy)
    record = find_standing(joined, registry) or joined
    if policy:
        record = record.model_copy(update={"approval": records.decide(record, policy.approval)})
    if record.record_id == joined.record_id:
        record = _write(record, settings, registry, folder)
    else:
        print(f"Record {record.record_id} of {record.selection.label} holds these results already and stands.")
        write_catalog(record, folder / "catalog")
    pack_catalog(folder / "catalog")
    if policy and record.approval:
        decided = (joined.selection.model_version_id, record.approval.state, record.approval.reasons)
        registry.set_approval(*decided, policy_digest=policy.digest)
    return record


def _join(settings: Settings, folder: Path, policy: Policy | None) -> Record:
    return records.join(
        Selection.read(folder),
        Endpoint.read(folder),
        Sweep.read(folder),
        Evaluation.read(folder),
        purpose=settings.purpose,
        use_case=settings.use_case,
        settings={"decide_approval": settings.decide_approval, "policy_digest": policy.digest if policy else ""},
    )


def _write(record: Record, settings: Settings, registry: Registry, folder: Path) -> Record:
    """Write the record with its raw files; the registry comes last, so that a record which can be found is complete."""
    selection = record.selection
    place = f"{storage.resolve(settings.store)}/records/{selection.name}/{selection.version}/{record.record_id}"
    raw = {name: storage.put(folder / name, f"{place}/{name}") for name in _raw_files(record, folder)}
    record = record.model_copy(update={"raw": raw})
    for path in write_catalog(record, folder / "catalog"):
        storage.put(path, f"{place}/catalog/{path.name}")
    uri = storage.put(record.model_dump_json(indent=2).encode(), f"{place}/{Record.filename}")
    registry.attach_record(selection.model_version_id, record.record_id, uri, records.summary(record))
    return record


def _raw_files(record: Record, folder: Path) -> Iterator[str]:
    sweep, evaluation = record.sweep, record.evaluation
    yield from filter(None, (sweep.report, sweep.repeats_report, evaluation.report, evaluation.samples))
    if (folder / (html := str(Path(record.sweep.report).with_suffix(".html")))).is_file():
        yield html


class Filter(parameters.Settings):
    """Which records are compared."""

    purpose: Literal["baseline", "use-case"] = "use-case"
    use_case: str = Field(default="ops-assistant", pattern=SAFE_NAME)
    task: str = Field(default="ops_assistant", min_length=1)
    models: str = ""
    margin: float = Field(default=0.0, ge=0, lt=1, description="differences in accuracy below this do not matter")

    def accepts(self, attached: AttachedRecord) -> bool:
        """Return whether a record is of this purpose, use case and task, and of a wanted model."""
        wanted = parameters.words(self.models)
        asked = {"purpose": self.purpose, "use_case": self.use_case, "task": self.task}
        return asked.items() <= attached.summary.items() and (not wanted or attached.name in wanted)


def compare_all(registry: Registry, settings: Filter, folder: Path | None = None) -> Comparison:
    """Compare the newest matching record of each version. Raises NotFound where there is none.

    Of its own version a run shows the record that it logged, which lies in `folder`, whoever has logged another since.
    """
    found = _newest([attached for attached in registry.records() if settings.accepts(attached)], _own(folder))
    if not found:
        raise NotFound(
            f"No {settings.purpose} record for {settings.use_case} and {settings.task} is in the registry",
            do="Run the ai-engineer pipeline, or correct USE_CASE, TASK, PURPOSE and MODELS",
        )
    scratch = tempfile.TemporaryDirectory(prefix="assay-samples-")
    with _without_collector(), scratch as place, ThreadPoolExecutor(READERS) as readers:
        loaded = list(readers.map(_load, found))
        logs = readers.map(lambda record: _samples(record, Path(place)), loaded)
        return compare(loaded, {r.record_id: log for r, log in zip(loaded, logs, strict=True)}, settings.margin)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Keep Python's garbage collector away: of the many objects made here all stay, and it would visit each many times.

    For 200 records that is a quarter of the time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


def _own(folder: Path | None) -> str:
    """Return the id of the record that this run has logged, "" where it has none."""
    try:
        return Record.read(folder).record_id if folder else ""
    except (ArtifactMissing, InvalidInput):  # another run's too
        return ""


def _newest(found: list[AttachedRecord], own: str) -> list[AttachedRecord]:
    """Keep the last of each version, or the own one: the registry lists them oldest first."""
    kept: dict[tuple[str, str], AttachedRecord] = {}
    for attached in found:
        before = kept.get((attached.name, attached.version))
        if before and before.record_id == own:
            print(
                f"{attached.name} {attached.version}: this run's record {own}; {attached.record_id} was logged since."
            )
            continue
        kept[attached.name, attached.version] = attached
    return list(kept.values())


def _samples(record: Record, folder: Path) -> Path:
    path = folder / f"{record.record_id}.jsonl"
    path.write_bytes(storage.get(record.raw[record.evaluation.samples]))
    return path


def load(comparison: Comparison, registry: Registry, shown: Collection[str] = ()) -> list[Record]:
    """Return the records behind the comparison's rows, or behind those that are shown, in their order."""
    attached = {each.record_id: each for each in registry.records()}
    rows = [row for row in comparison.standings if not shown or row.label in shown]
    with ThreadPoolExecutor(READERS) as readers:
        return list(readers.map(_load, [attached[row.record_id] for row in rows]))


def _load(attached: AttachedRecord) -> Record:
    """Return the record with its own address among those of its raw files."""
    record = Record.model_validate_json(storage.get(attached.uri))
    return record.model_copy(update={"raw": {**record.raw, Record.filename: attached.uri}})
