"""Imported answers beside the measured versions of the registry, in one table and marked as what they are."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from helpers.analysis import loading
from helpers.analysis.comparison import Comparison, Standing, compare, tiers
from helpers.analysis.imported.comparing import Answers
from helpers.artifacts import Evaluation, Record, Sample
from helpers.datasets.arrival import located
from helpers.datasets.criteria import Criteria
from helpers.errors import InvalidResults, NotFound
from helpers.evaluation.samples import read_samples
from helpers.records import reading
from helpers.records.imports import Imported, alike, as_record, own, read_all
from helpers.registry import Registry

# Of a row: what its load test says.
SPEEDS = (
    *("load_test", "requests_per_second", "output_tokens_per_second", "ttft_p95_ms", "itl_p95_ms", "e2e_p95_ms"),
    *("goodput", "slo_attainment", "curve", "next_load", "repeats", "noise", "slo_repeats"),
    *("limited_by_load_generator", "saturated", "operating_point", "slo", "workload"),
)


def read_results(place: str) -> list[Imported]:
    """Return the models of a folder, each in a folder or a file of its own; nothing where none is named.

    A folder in the store is fetched. Raises as `read_all`, and NotFound or InvalidResults for a folder without any.
    """
    if place in ("", "none"):
        return []
    folder = Path(located("RESULTS", place))
    if not folder.is_dir():
        raise NotFound(f"{folder} is no folder", do="Give RESULTS a folder that holds one for each model")
    models = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    if not models:
        raise InvalidResults(f"{folder} is empty", do="Put a folder with the results of one model into it")
    return read_all([str(path) for path in models])


def beside(
    comparison: Comparison, imports: Sequence[Imported], registry: Registry, criteria: Criteria
) -> tuple[Comparison, list[Record]]:
    """Return the comparison with the imported models that were asked the same, and these as records.

    An imported model has no speed here: its load was another one. Raises what the store raises.
    """
    if not imports:
        return comparison, []
    records = loading.load(comparison, registry)
    task, name = records[0].evaluation.task, comparison.standings[0].evaluation
    with tempfile.TemporaryDirectory(prefix="assay-beside-") as place:
        measured = [_own(record, name, Path(place)) for record in records]
    asked = [_asked(each, task, name) for each in imports]
    others = [each for each in asked if each]
    notes = [f"{i.model}: holds no answers to {task}" for i, each in zip(imports, asked, strict=True) if not each]
    kept, said = alike([*measured, *others], criteria.coverage)
    known = [each for each in kept if each.measurements]
    placed = [_placed(each, records) for each in known]
    samples = {record.record_id: each.samples[name] for record, each in zip(placed, known, strict=True)}

    def answers(record: Record, evaluation: Evaluation) -> Answers:
        found = samples[record.record_id] if evaluation.name == name else _samples(record, evaluation)
        return {sample.id: sample for sample in found if sample.scores}

    found = compare(placed, samples, criteria.margin(name), coverage=criteria.coverage)
    full = [_full(record, records) for record in placed]
    rows = {row.label: row for row in comparison.standings}
    update = {
        "standings": tuple(_with_speed(row, rows.get(row.label)) for row in found.standings),
        "tiers": tiers(full, answers),
        "not_compared": (*comparison.not_compared, *notes, *said, *found.not_compared),
    }
    imported = [record for record in placed if record.record_id not in {each.record_id for each in records}]
    return found.model_copy(update=update), imported


def _own(record: Record, name: str, folder: Path) -> Imported:
    """Return a measured version's answers as they are compared with imported ones: by their documents."""
    evaluation = next(each for each in record.evaluations if each.name == name)
    log = folder / f"{record.record_id}.jsonl"
    log.write_bytes(reading.raw_file(record, evaluation.samples))
    samples = [own.renamed(each) for each in read_samples(log, evaluation.metric)]
    report = json.loads(reading.raw_file(record, evaluation.report))
    asked = evaluation.model_copy(update={"settings": own.settings(report, evaluation)})
    return Imported(record.label, Path(record.record_id), (asked,), {name: samples})


def _asked(found: Imported, task: str, name: str) -> Imported | None:
    """Return an imported model with its answers to the task alone, called as the registry's versions call it."""
    for each in found.evaluations:
        if each.task == task and each.name in found.samples:
            renamed = each.model_copy(update={"name": name})
            return replace(found, measurements=(renamed,), samples={name: found.samples[each.name]})
    return None


def _placed(found: Imported, records: Sequence[Record]) -> Record:
    """Return the record with this evaluation alone."""
    known = next((record for record in records if record.record_id == str(found.place)), None)
    return known.model_copy(update={"measurements": found.measurements}) if known else as_record(found, marked=True)


def _full(placed: Record, records: Sequence[Record]) -> Record:
    """Return the record with all that was measured, the evaluation as it is compared."""
    known = next((record for record in records if record.record_id == placed.record_id), placed)
    compared = placed.evaluation
    every = tuple(compared if each.name == compared.name else each for each in known.measurements)
    return placed.model_copy(update={"measurements": every})


def _samples(record: Record, evaluation: Evaluation) -> list[Sample]:
    with tempfile.TemporaryDirectory(prefix="assay-beside-") as place:
        log = Path(place) / evaluation.samples
        log.write_bytes(reading.raw_file(record, evaluation.samples))
        return read_samples(log, evaluation.metric)


def _with_speed(row: Standing, measured: Standing | None) -> Standing:
    return row.model_copy(update={name: getattr(measured, name) for name in SPEEDS}) if measured else row
