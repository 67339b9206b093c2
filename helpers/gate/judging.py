"""All figures of a candidate against its baseline, and the verdict over them."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from helpers.artifacts import Artifact, Record
from helpers.comparison.answers import Answer, Key
from helpers.comparison.speed import figures
from helpers.gate.checks import Check, State, accuracy, speed
from helpers.gate.policy import GatePolicy
from helpers.statistics import compare

Answers = Mapping[Key, Answer]
SPEEDS = {"ttft_p95_ms": ("TTFT p95", 1), "itl_p95_ms": ("ITL p95", 1), "requests_per_second": ("requests/s", -1)}


class Judgement(Artifact):
    """The checks and what they add up to."""

    filename = "gate.json"
    written_by = "regression_gate"

    candidate: str
    record_id: str = Field(default="", description="the candidate's record; empty in files of before")
    baseline: str
    checks: tuple[Check, ...]
    accepted: str = Field(default="", description="who let this record be the baseline nevertheless, and why")

    @property
    def state(self) -> State:
        """One failure fails, one that is not known leaves it open."""
        states = {check.state for check in self.checks}
        return "fail" if "fail" in states else "inconclusive" if "inconclusive" in states or not states else "pass"

    def markdown(self) -> str:
        """Return the report: a headline, and a table of the checks."""
        marks = {"pass": "passes", "fail": "fails", "inconclusive": "is inconclusive"}
        rows = [f"| {c.name} | {c.allowed} | {c.seen} | {c.state} |" for c in self.checks]
        head = f"## {self.candidate} {marks[self.state]} against {self.baseline}"
        told = [f"Accepted by {self.accepted}", ""] if self.accepted else []
        return "\n".join(
            [
                head,
                "",
                *told,
                "| check | allowed | seen, 90% interval | result |",
                "| --- | --- | --- | --- |",
                *rows,
                "",
            ]
        )


def judge(candidate: Record, baseline: Record, answers: tuple[Answers, Answers], policy: GatePolicy) -> Judgement:
    """Hold the candidate against the baseline; `answers` are the candidate's and the baseline's.

    What was measured under other circumstances is not compared, and leaves the gate open.
    """
    checks = []
    if policy.coverage is not None:
        checks.append(_coverage(candidate, answers, policy.coverage))
    if policy.accuracy is not None:
        checks.append(_accuracy(answers, policy.accuracy))
    differs = _circumstances(candidate, baseline)
    for name, (shown, worse) in SPEEDS.items():
        allowed: float | None = getattr(policy, name)
        if allowed is None:
            continue
        if differs:
            checks.append(
                Check(name=shown, allowed="-", seen=f"measured under another {differs}", state="inconclusive")
            )
        else:
            checks.append(speed(shown, _repeats(candidate, name), _repeats(baseline, name), allowed, worse))
    return Judgement(
        candidate=_name(candidate), record_id=candidate.record_id, baseline=_name(baseline), checks=tuple(checks)
    )


def _name(record: Record) -> str:
    return f"{record.selection.label} (record {record.record_id})"


def _common(answers: tuple[Answers, Answers]) -> list[Key]:
    """Return the questions that both answered, and that are the same for both."""
    mine, theirs = answers
    return [key for key in mine.keys() & theirs.keys() if mine[key].digest == theirs[key].digest]


def _coverage(candidate: Record, answers: tuple[Answers, Answers], least: float) -> Check:
    """Hold the share of its questions that the candidate answered, and of the baseline's answers, against `least`."""
    mine, theirs = answers
    total, common = candidate.evaluation.total, len(_common(answers))
    share = min(len(mine) / total, common / max(1, len(theirs)))
    seen = f"{len(mine)} of {total} questions answered, {common} of the {len(theirs)} that the baseline answered"
    state: State = "pass" if share >= least else "inconclusive"
    return Check(name="coverage", allowed=f"at least {least:.0%}", seen=seen, state=state)


def _accuracy(answers: tuple[Answers, Answers], allowed: float) -> Check:
    mine, theirs = answers
    common = _common(answers)
    if not common:
        return Check(name="accuracy", allowed=f"at most {allowed:g} lost", seen="other questions", state="inconclusive")
    pair = compare([mine[key].correct for key in common], [theirs[key].correct for key in common])
    return accuracy(pair, allowed)


def _circumstances(candidate: Record, baseline: Record) -> str:
    """Return what differs between the two load tests, "" where nothing does that matters."""
    pairs = {
        "workload": (candidate.sweep.workload, baseline.sweep.workload),
        "SLO": (candidate.sweep.slo, baseline.sweep.slo),
        "hardware": (candidate.endpoint.hardware, baseline.endpoint.hardware),
    }
    return " and ".join(name for name, (mine, theirs) in pairs.items() if mine != theirs)


def _repeats(record: Record, name: str) -> list[float]:
    return [value for point in record.sweep.repeats if (value := figures(point)[name]) is not None]
