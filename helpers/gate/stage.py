"""The gate as a stage of a pipeline: what does not pass turns the node red and ends the run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from helpers import parameters
from helpers.artifacts import Record, write_atomic
from helpers.errors import GateFailed, GateInconclusive
from helpers.gate.baseline import accepting, find_baseline
from helpers.gate.judging import Judgement, judge
from helpers.gate.policy import load_gate_policy
from helpers.gate.reading import answers_of
from helpers.registry import Registry, Verdict

REPORT = "gate.md"
Name = Annotated[str, BeforeValidator(parameters.given)]


class Settings(parameters.Settings):
    """What the candidate is held against, and what an open question means."""

    baseline_name: Name = Field(default="", description="model; empty for the candidate's own")
    baseline_version: Name = Field(default="", description="version; empty for the newest approved or earlier one")
    gate_policy: Path = Field(default=Path("gate.yaml"), description="the tolerances")
    on_inconclusive: Literal["stop", "pass"] = "stop"


def hold(settings: Settings, registry: Registry, folder: Path) -> Judgement:
    """Hold the record in `folder` against its baseline, write gate.json and gate.md there, and tell the registry.

    What did not pass is no baseline of later runs, also where ON_INCONCLUSIVE lets it pass.

    Raises InvalidPolicy before anything is read, NotFound where there is no baseline, ArtifactMissing.
    """
    policy = load_gate_policy(settings.gate_policy)
    candidate = Record.read(folder)
    baseline = find_baseline(registry, candidate, settings.baseline_name, settings.baseline_version)
    judgement = judge(candidate, baseline, (answers_of(candidate, folder), answers_of(baseline)), policy)
    judgement.write(folder)
    write_atomic(folder / REPORT, judgement.markdown().encode())
    verdict = Verdict(candidate.record_id, judgement.state, against=baseline.record_id)
    registry.add_verdict(candidate.selection.model_version_id, verdict)
    return judgement


def enforce(settings: Settings, judgement: Judgement) -> None:
    """End the stage where the gate is not passed. Raises GateFailed or GateInconclusive with the checks."""
    told = "; ".join(f"{c.name} {c.seen}, {c.allowed} allowed" for c in judgement.checks if c.state == judgement.state)
    if judgement.state == "fail":
        raise GateFailed(
            f"{judgement.candidate} is worse than {judgement.baseline}: {told}",
            do="Keep the baseline; or, where this loss may be accepted, " + accepting(judgement.record_id),
        )
    if judgement.state == "inconclusive" and settings.on_inconclusive == "stop":
        raise GateInconclusive(
            f"Whether {judgement.candidate} is as good as {judgement.baseline} is not known: {told or 'no check'}",
            do="Measure more questions or repeats, or set ON_INCONCLUSIVE=pass to go on with open questions",
        )
