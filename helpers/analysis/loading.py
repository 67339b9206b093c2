"""Which records are compared: the newest of each version that answers the question, read from registry and store."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from helpers.analysis.comparison import Comparison, by_evaluation, choose, compare, narrowed, tiers
from helpers.analysis.comparison.tiers import SPEED
from helpers.artifacts import Evaluation, Record, Sample
from helpers.artifacts.names import OWN
from helpers.datasets.criteria import Criteria
from helpers.errors import ArtifactMissing, InvalidCriteria, InvalidInput, NotFound, SignatureInvalid
from helpers.evaluation.samples import read_answers
from helpers.records import reading
from helpers.records.figures import required
from helpers.registry import AttachedRecord, Registry, Version
from helpers.registry.history import RETIRED
from helpers.runtime import parameters

READERS = 8  # a store on the network answers many small reads at once faster than one after another


class Filter(parameters.Settings):
    """Which records are compared."""

    purpose: Literal["baseline", "use-case"] = "use-case"
    use_case: str = Field(default="ops-assistant", pattern=OWN)
    task: str = Field(default="ops_assistant", min_length=1)
    models: str = ""

    def accepts(self, attached: AttachedRecord) -> bool:
        """Return whether a record is of this purpose, use case and task, and of a wanted model."""
        wanted = parameters.words(self.models)
        asked = {"purpose": self.purpose, "use_case": self.use_case}
        measured = asked.items() <= attached.summary.items() and attached.has(kind="evaluation", subject=self.task)
        return measured and (not wanted or attached.name in wanted)


def compare_all(
    registry: Registry,
    settings: Filter,
    criteria: Criteria,
    folder: Path | None = None,
    seen_before: Collection[str] = (),
) -> Comparison:
    """Compare the newest matching record of each version that was asked the same.

    What this run was asked decides, and of its own version the record that it logged, which lies in `folder`.
    `seen_before` are questions without which the scores are told, too.
    Left out and named are retired versions, and, where the administrator says whose signatures count, what nobody
    trusted has signed. Raises NotFound where there is none, InvalidCriteria where the criteria are about what was not
    measured.
    """
    retired = {each.model_version_id: each for each in registry.versions() if _state(each) == RETIRED}
    fitting = [attached for attached in registry.records() if settings.accepts(attached)]
    found = [attached for attached in fitting if attached.model_version_id not in retired]
    left = _left(fitting, retired)
    if not found:
        raise NotFound(
            ". ".join([f"No {settings.purpose} record for {settings.use_case} and {settings.task} counts", *left]),
            do="Run the ai-engineer pipeline, or correct USE_CASE, TASK, PURPOSE and MODELS",
        )
    scratch, own = tempfile.TemporaryDirectory(prefix="assay-samples-"), _own(folder)
    with scratch as place, ThreadPoolExecutor(READERS) as readers:
        read = list(readers.map(_loaded, found))
        unsigned = [each for each in read if isinstance(each, SignatureInvalid)]
        loaded = {record.record_id: record for record in read if isinstance(record, Record)}
        if unsigned and not loaded:
            raise unsigned[0]
        placed, notes = narrowed(list(loaded.values()), settings.task, criteria.ranked)
        chosen = choose(placed, own, criteria.coverage).records
        margin = _held(criteria, loaded[chosen[0].record_id], chosen[0])
        logs = readers.map(lambda record: _samples(record, record.evaluation, Path(place)), chosen)
        samples = {record.record_id: log for record, log in zip(chosen, logs, strict=True)}
        comparison = compare(placed, samples, margin, own, criteria.coverage, criteria.planned_questions, seen_before)

        known: dict[tuple[str, str], dict[str, Sample]] = {}

        def answers(record: Record, evaluation: Evaluation) -> dict[str, Sample]:
            which = (record.record_id, evaluation.name)
            if which not in known:
                known[which] = read_answers(_samples(record, evaluation, Path(place)), evaluation.metric)
            return known[which]

        whole = [loaded[row.record_id] for row in comparison.standings]
        more: dict[str, Any] = {
            "tiers": tiers(whole, answers, own, loaded.values()),
            "other_flips": by_evaluation(whole, answers, own, comparison.standings[0].evaluation),
            "not_compared": (*(each.what for each in unsigned), *notes, *comparison.not_compared, *left),
            "reviews": _reviews(registry, found, comparison),
        }
        return comparison.model_copy(update=more)


def _left(fitting: Collection[AttachedRecord], retired: Mapping[str, Version]) -> list[str]:
    """Return a line for each version that has such a record and is used no more."""
    keys = dict.fromkeys(each.model_version_id for each in fitting if each.model_version_id in retired)
    found = [retired[key] for key in keys]
    return [f"{each.name} {each.version} is retired: {each.properties.get('approval_reasons')}" for each in found]


def _state(version: Version) -> str:
    return str(version.properties.get("approval", ""))


def _reviews(registry: Registry, found: Collection[AttachedRecord], comparison: Comparison) -> dict[str, str]:
    """Return when the approval of each version that is compared has to be looked at again, by its label."""
    known, ids = registry.reviews(), {each.record_id: each.model_version_id for each in found}
    rows = {row.label: known.get(ids.get(row.record_id, "")) for row in comparison.standings}
    return {label: str(review) for label, review in rows.items() if review}


def _held(criteria: Criteria, record: Record, placed: Record) -> float:
    """Return the margin by which the score is compared. Raises InvalidCriteria for lines that cannot be followed.

    Versions are ranked by the one evaluation and the one load test that `placed` holds of the record. Of the others a
    `must` counts where the comparison has a row for it.
    """
    required(criteria, record)
    if criteria.default:
        return 0.0
    ranked = [each.name for each in placed.measurements]
    for line in (line for line in criteria.lines if line.kind != "cost" and line.measurement not in ranked):
        unseen = line.must and line.kind == "load_test" and line.metric not in SPEED
        if line.weight or unseen:
            raise InvalidCriteria(
                f"{criteria.place(line.name)}: {line.name} has a {'weight' if line.weight else 'must'}, which counts "
                f"for {' and '.join(ranked)} only",
                do="Leave it out",
            )
    return criteria.margin(placed.evaluation.name)


def _own(folder: Path | None) -> str:
    """Return the id of the record that this run has logged, "" where it has none."""
    try:
        return Record.read(folder).record_id if folder else ""
    except (ArtifactMissing, InvalidInput):  # another run's too
        return ""


def _samples(record: Record, evaluation: Evaluation, folder: Path) -> Path:
    path = folder / f"{record.record_id}-{evaluation.name}.jsonl"
    if not path.exists():
        path.write_bytes(reading.raw_file(record, evaluation.samples))
    return path


def load(comparison: Comparison, registry: Registry, shown: Collection[str] = ()) -> list[Record]:
    """Return the registry's records behind the comparison's rows, or behind those that are shown, in their order."""
    attached = {each.record_id: each for each in registry.records()}
    rows = [row for row in comparison.standings if not shown or row.label in shown]
    with ThreadPoolExecutor(READERS) as readers:
        return list(readers.map(_load, [attached[row.record_id] for row in rows if row.record_id in attached]))


def _loaded(attached: AttachedRecord) -> Record | SignatureInvalid:
    try:
        return _load(attached)
    except SignatureInvalid as error:
        return error


def _load(attached: AttachedRecord) -> Record:
    """Return the record with its own address among those of its raw files; who measured it must be trusted."""
    record = reading.read_trusted(attached)
    return record.model_copy(update={"raw": {**record.raw, Record.filename: attached.uri}})
