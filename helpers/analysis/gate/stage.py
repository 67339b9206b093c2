"""The gate as a stage of a pipeline: what does not pass turns the node red and ends the run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from helpers.analysis.gate.baseline import accepting, find_baseline
from helpers.analysis.gate.judging import Judgement, judge
from helpers.analysis.gate.reading import answers_of
from helpers.artifacts import Record, write_atomic
from helpers.datasets.criteria import load_criteria
from helpers.errors import GateFailed, GateInconclusive
from helpers.records import reading
from helpers.registry import AttachedRecord, Registry, Verdict
from helpers.runtime import parameters
from helpers.runtime.partial import again

REPORT = "gate.md"
Name = Annotated[str, BeforeValidator(parameters.given)]


class Settings(parameters.Asking):
    """What the candidate is held against, and what an open question means."""

    asks = "tolerances"

    baseline_name: Name = Field(default="", description="model; empty for the candidate's own")
    baseline_version: Name = Field(default="", description="version; empty for the newest approved or earlier one")
    criteria: Path = Field(default=Path("datasets/ops-assistant/criteria.yaml"), description="with the tolerances")
    on_inconclusive: Literal["stop", "pass"] = "stop"


def hold(settings: Settings, registry: Registry, folder: Path) -> Judgement:
    """Hold the record in `folder` against its baseline, write gate.json and gate.md there, and tell the registry.

    What did not pass is no baseline of later runs, also where ON_INCONCLUSIVE lets it pass. What a person has accepted
    since stays accepted.

    Raises InvalidCriteria before anything is read, NotFound where there is no baseline, ArtifactMissing.
    """
    criteria = load_criteria(settings.criteria)
    candidate = Record.read(folder)
    baseline = find_baseline(registry, candidate, settings.baseline_name, settings.baseline_version)
    others = [reading.read(each) for each in _same_version(registry, candidate, baseline)]
    judgement = judge(candidate, baseline, (answers_of(candidate, folder), answers_of(baseline)), criteria, others)
    judgement = judgement.model_copy(update={"accepted": _accepted(registry, candidate.record_id)})
    judgement.write(folder)
    write_atomic(folder / REPORT, judgement.markdown().encode())
    if not judgement.accepted:
        verdict = Verdict(candidate.record_id, judgement.state, against=baseline.record_id)
        registry.add_verdict(candidate.selection.model_version_id, verdict)
    return judgement


def _same_version(registry: Registry, *judged: Record) -> list[AttachedRecord]:
    """Return the other records of the versions that are judged, for the same use case."""
    ids, versions = {each.record_id for each in judged}, {each.selection.model_version_id for each in judged}
    models = dict.fromkeys(record.selection.name for record in judged)
    return [
        each
        for model in models
        for each in registry.records(model)
        if each.model_version_id in versions
        and each.record_id not in ids
        and each.summary.get("use_case") == judged[0].use_case
    ]


def _accepted(registry: Registry, record_id: str) -> str:
    """Return who accepted a record and why, "" where the newest verdict on it is the gate's own."""
    said = [verdict for verdict in registry.verdicts() if verdict.record_id == record_id][-1:]
    return "".join(f"{verdict.by}: {verdict.reason}" for verdict in said if verdict.state == "accepted")


def enforce(settings: Settings, judgement: Judgement) -> None:
    """End the stage where the gate is not passed. Raises GateFailed or GateInconclusive with the checks.

    A record that a person has accepted passes: the run that refused it can be retried.
    """
    if judgement.accepted:
        print(f"{judgement.candidate} is accepted by {judgement.accepted}")
        return
    told = "; ".join(f"{c.name} {c.seen}, {c.allowed} allowed" for c in judgement.checks if c.state == judgement.state)
    if judgement.state == "fail":
        raise GateFailed(
            f"{judgement.candidate} {judgement.failing} {judgement.baseline}: {told}",
            do="Keep the baseline; or, where this loss may be accepted, "
            f"{accepting(judgement.record_id)}, then {again()}",
        )
    if judgement.state == "inconclusive" and settings.on_inconclusive == "stop":
        raise GateInconclusive(
            f"Whether {judgement.candidate} is as good as {judgement.baseline} is not known: {told or 'no check'}",
            do="Measure more questions or repeats, or set ON_INCONCLUSIVE=pass to go on with open questions",
        )
