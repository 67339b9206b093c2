"""Which earlier record a candidate is held against: never one that the gate has refused, until a person accepts it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from helpers.artifacts import Record
from helpers.errors import NotFound
from helpers.records import reading
from helpers.registry import AttachedRecord, Registry, Verdict
from helpers.registry.decisions import GOOD


def find_baseline(registry: Registry, candidate: Record, name: str = "", version: str = "") -> Record:
    """Return the standing record under the candidate's purpose, use case and task, as `standing` chooses it.

    Without a `version` it is one of another, approved version of the model `name` (the candidate's own where empty),
    else an earlier one of the candidate's version; where there is none at all, the candidate is noted as the first,
    which later ones are held against. Where neither is given, a tuned candidate is held against an earlier record of
    its own version, and where none of these passed, against its parent. Raises NotFound where there is none,
    SignatureInvalid.
    """
    model = name or candidate.selection.name
    earlier = _earlier(registry.records(model), candidate)
    own = [record for record in earlier if record.model_version_id == candidate.selection.model_version_id]
    if version:
        pools = [[record for record in earlier if record.version == version]]
    elif candidate.parent and not name:
        pools = [own, _of_parent(registry, candidate)]
    else:
        pools = [_approved(registry, earlier, candidate), own]
    verdicts = registry.verdicts()
    found = next((record for pool in pools if (record := standing(pool, verdicts))), None)
    if found:
        return reading.read_trusted(found)
    asked = " ".join(filter(None, (model, version or "in an approved or earlier version")))
    what = f"{asked} for {candidate.use_case} and {candidate.evaluation.task} is older than {candidate.record_id}"
    if refused := [record.record_id for pool in pools for record in pool]:
        raise NotFound(
            f"No record of {what} and has passed the gate: {', '.join(refused)} did not",
            do="Measure a version that passes, or accept one of them: " + accepting(refused[-1]),
        )
    do = "Set BASELINE_NAME and BASELINE_VERSION to a version that was measured on this use case"
    if not (name or version):
        first = Verdict(candidate.record_id, "first")
        registry.add_verdict(candidate.selection.model_version_id, first)
        do += "; without them, later records are held against this one"
    raise NotFound(f"No record of {what}", do=do)


def _of_parent(registry: Registry, candidate: Record) -> list[AttachedRecord]:
    """Return the records of what the candidate was tuned from, the oldest first. Raises NotFound."""
    known = {v.model_version_id for v in registry.versions() if v.properties.get("digest") == candidate.parent}
    found = [each for each in _earlier(registry.records(), candidate) if each.model_version_id in known]
    if found:
        return found
    raise NotFound(
        f"The registry has no record for {candidate.use_case} of {candidate.parent}, from which "
        f"{candidate.selection.label} was tuned",
        do="Measure the parent by ai-engineer on this use case first, or set BASELINE_NAME and BASELINE_VERSION",
    )


def standing(records: Sequence[AttachedRecord], verdicts: Sequence[Verdict]) -> AttachedRecord | None:
    """Return the record that passed last or that a person accepted since; both lists are the oldest first.

    Where none did, it is the newest of those from before the gate first judged one: what came later without a verdict
    may be what the gate would have refused.
    """
    known = {record.record_id: record for record in records}
    last = {verdict.record_id: verdict.state for verdict in verdicts}
    good = [v.record_id for v in verdicts if v.state in GOOD and last[v.record_id] in GOOD and v.record_id in known]
    if good:
        return known[good[-1]]
    before = list(takewhile(lambda record: record.record_id not in last, records))
    return before[-1] if before else None


def accepting(record_id: str) -> str:
    """Return the command by which a person accepts a record."""
    return f"python -m helpers.analysis.gate --accept {record_id} --reason WHY"


def _earlier(records: Sequence[AttachedRecord], candidate: Record) -> list[AttachedRecord]:
    """Return the records of the same purpose, use case and task, trials only for a trial; the oldest first."""
    asked = {"purpose": candidate.purpose, "use_case": candidate.use_case}
    task, trial = candidate.evaluation.task, bool(candidate.evaluation.partial)
    ids = [record.record_id for record in records]
    before = records[: ids.index(candidate.record_id)] if candidate.record_id in ids else records
    alike = [record for record in before if asked.items() <= record.summary.items()]
    return [record for record in alike if _has(record, task, trial)]


def _has(record: AttachedRecord, task: str, trial: bool) -> bool:
    """Return whether a record has an evaluation of the task, by all of its questions unless a trial will do."""
    found = [each for each in record.measurements.values() if each.get("subject") == task]
    return any(trial or "partial" not in each for each in found)


def _approved(registry: Registry, records: Sequence[AttachedRecord], candidate: Record) -> list[AttachedRecord]:
    own = candidate.selection.model_version_id
    good = {v.model_version_id for v in registry.judged() if v.properties.get("approval") == "approved"}
    return [record for record in records if record.model_version_id in good - {own}]
