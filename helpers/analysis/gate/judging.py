"""All figures of a candidate against its baseline, and the verdict over them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pydantic import Field

from helpers.analysis.comparison.common_load import LATENCIES, common_load, over_sessions
from helpers.analysis.comparison.speed import session, sessions
from helpers.analysis.gate.checks import BY_TUNING, Check, State, accuracy, gain, gaining, latency, speed
from helpers.artifacts import Artifact, Evaluation, LoadTest, Record, Sample
from helpers.datasets.criteria import Criteria, Criterion, better
from helpers.evaluation.samples import clusters
from helpers.records.figures import Figure, figures, required
from helpers.statistics import Paired, compare

MARKUP = re.compile(r"[&<>|\[\]`*\\]")
CONFIDENCE = 0.9  # of a two-sided interval, of which one end is looked at
Answers = Mapping[str, Sample]
AllAnswers = Mapping[str, Answers]  # by the evaluation's name


class Judgement(Artifact):
    """The checks and what they add up to."""

    filename = "gate.json"
    written_by = "regression_gate"

    candidate: str
    record_id: str = Field(default="", description="the candidate's record; empty in files of version 1")
    baseline: str
    checks: tuple[Check, ...]
    accepted: str = Field(default="", description="who let this record be the baseline nevertheless, and why")

    @property
    def state(self) -> State:
        """One failure fails, one that is not known leaves it open."""
        states = {check.state for check in self.checks}
        return "fail" if "fail" in states else "inconclusive" if "inconclusive" in states or not states else "pass"

    @property
    def failing(self) -> str:
        """What a failure says of the candidate, before the baseline's name."""
        failed = [check.name for check in self.checks if check.state == "fail"]
        only_tuning = all(name.endswith(BY_TUNING) for name in failed)
        return "gained less than it has to, or forgot more than it may, against" if only_tuning else "is worse than"

    def markdown(self) -> str:
        """Return the report: a headline, and a table of the checks."""
        marks = {"pass": "passes", "fail": "fails", "inconclusive": "is inconclusive"}
        rows = [f"| {plain(c.name)} | {plain(c.allowed)} | {plain(c.seen)} | {c.state} |" for c in self.checks]
        head = f"## {plain(self.candidate)} {marks[self.state]} against {plain(self.baseline)}"
        told = [f"Accepted by {plain(self.accepted)}", ""] if self.accepted else []
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


def plain(text: str) -> str:
    """Return a text as one line of Markdown that shows it as it is: no table, link, image or HTML of its own."""
    return MARKUP.sub(lambda found: f"&#{ord(found[0])};", " ".join(text.split()))


def judge(
    candidate: Record,
    baseline: Record,
    answers: tuple[AllAnswers, AllAnswers],
    criteria: Criteria,
    others: Sequence[Record] = (),
) -> Judgement:
    """Hold the candidate against the baseline; `answers` are the candidate's and the baseline's, by evaluation.

    Load tests of `others` count where they measured the same version in the same way, from another start of its server.

    What was measured under other circumstances is not compared, and leaves the gate open. Raises InvalidCriteria where
    no line has a tolerance, or one is about what the candidate was not measured by.
    """
    mine, theirs = required(criteria, candidate), figures(baseline)
    lines = criteria.tolerances
    if criteria.default:
        lines = tuple(line for line in lines if line.measurement in {each.name for each in candidate.measurements})
    tuned = bool(candidate.parent) and candidate.parent == baseline.selection.digest
    gains = criteria.gains if tuned else ()
    asked = dict.fromkeys(line.measurement for line in (*lines, *gains) if line.kind == "evaluation")
    covered = [each for each in candidate.evaluations if each.name in asked] or candidate.evaluations[:1]
    checks = [_coverage(each, _of(answers, each.name), criteria.coverage, len(covered) > 1) for each in covered]
    for line in lines:
        if line.kind == "evaluation":
            checks.append(_accuracy(line, _of(answers, line.measurement)))
            continue
        against = theirs.get(line.name)
        differs = _circumstances(mine[line.name], against, candidate, baseline) if against else ""
        if differs or not against:
            seen = f"measured under another {differs}" if differs else "the baseline was not measured by it"
            checks.append(Check(name=line.name, allowed="-", seen=seen, state="inconclusive"))
        else:
            checks.append(_speed(line, _sessions(line, candidate, others), _sessions(line, baseline, others)))
    checks += [_gain(line, _of(answers, line.measurement)) for line in gains]
    return Judgement(
        candidate=_name(candidate), record_id=candidate.record_id, baseline=_name(baseline), checks=tuple(checks)
    )


def _sessions(line: Criterion, record: Record, others: Sequence[Record]) -> tuple[LoadTest, ...]:
    """Return the record's load test that a line is about, and those of the same version's other sessions."""
    own = next(test for test in record.load_tests if test.name == line.measurement)
    return tuple(test for test in sessions(record, others, own) if test.headline)


def _speed(line: Criterion, candidate: Sequence[LoadTest], baseline: Sequence[LoadTest]) -> Check:
    """Hold a latency against the other's at the load that both carry, another figure at each one's operating point."""
    metric, allowed, worse = line.metric, line.tolerance or 0.0, 1 if better(line.name) == "lower" else -1
    mine, theirs = ([session(test) for test in tests] for tests in (candidate, baseline))
    load = common_load(each.curve for each in (*mine, *theirs))
    limited = any(point.limited_by_load_generator for test in (*candidate, *baseline) for point in test.measured)
    if limited:
        seen = "the load generator may have limited it, so no server was measured"
        return Check(name=line.name, allowed="-", seen=seen, state="inconclusive")
    if metric not in LATENCIES or load is None:
        one, other = ([each.repeats.get(metric, ()) for each in both] for both in (mine, theirs))
        return speed(line.name, one, other, allowed, worse)
    return latency(line.name, over_sessions(mine, metric, load), over_sessions(theirs, metric, load), load, allowed)


def _of(answers: tuple[AllAnswers, AllAnswers], name: str) -> tuple[Answers, Answers]:
    """Return both versions' answers to one evaluation, none where one has none of that name."""
    mine, theirs = answers
    return mine.get(name, {}), theirs.get(name, {})


def _name(record: Record) -> str:
    return f"{record.selection.label} (record {record.record_id})"


def _common(answers: tuple[Answers, Answers]) -> list[str]:
    """Return the questions that both answered, and that are the same for both."""
    mine, theirs = answers
    return [key for key in mine.keys() & theirs.keys() if mine[key].digest == theirs[key].digest]


def _coverage(evaluation: Evaluation, answers: tuple[Answers, Answers], least: float, several: bool) -> Check:
    """Hold the share of its questions that the candidate answered, and of the baseline's answers, against `least`."""
    mine, theirs = answers
    total, common = evaluation.total, len(_common(answers))
    share = min(len(mine) / total, common / max(1, len(theirs)))
    seen = f"{len(mine)} of {total} questions answered, {common} of the {len(theirs)} that the baseline answered"
    state: State = "pass" if share >= least else "inconclusive"
    name = f"coverage of {evaluation.name}" if several else "coverage"
    return Check(name=name, allowed=f"at least {least:.0%}", seen=seen, state=state)


def _accuracy(line: Criterion, answers: tuple[Answers, Answers]) -> Check:
    allowed, pair = line.tolerance or 0.0, _paired(line, answers)
    if isinstance(pair, str):
        return Check(name=line.name, allowed=f"at most {allowed:g} lost", seen=pair, state="inconclusive")
    return accuracy(line.name, pair, allowed)


def _gain(line: Criterion, answers: tuple[Answers, Answers]) -> Check:
    wanted, pair = line.gain or 0.0, _paired(line, answers)
    if isinstance(pair, str):
        return Check(name=f"{line.name}{BY_TUNING}", allowed=gaining(wanted), seen=pair, state="inconclusive")
    return gain(line.name, pair, wanted)


def _paired(line: Criterion, answers: tuple[Answers, Answers]) -> Paired | str:
    """Return the difference on the questions that both answered, or why there is none."""
    mine, theirs = answers
    if not (common := _common(answers)):
        return "other questions"
    try:
        scores = [_score(mine[key], line) for key in common], [_score(theirs[key], line) for key in common]
    except KeyError:
        return "no score of single questions"
    return compare(*scores, CONFIDENCE, clusters=clusters(mine[key] for key in common))


def _score(sample: Sample, line: Criterion) -> float:
    """Return the score that a line is about: lm-eval's filter stands behind a comma. Raises KeyError for none."""
    found = {name.split(",")[0]: score for name, score in reversed(sample.scores.items())}
    return found[line.metric]


def _circumstances(mine: Figure, theirs: Figure, candidate: Record, baseline: Record) -> str:
    """Return what differs between two load tests, "" where nothing does that matters."""
    one, other = mine.measurement, theirs.measurement
    if not (isinstance(one, LoadTest) and isinstance(other, LoadTest)):
        return "kind of measurement"
    pairs = {
        "workload": (one.workload, other.workload),
        "SLO": (one.slo, other.slo),
        "hardware": (candidate.endpoint.hardware, baseline.endpoint.hardware),
    }
    return " and ".join(name for name, (left, right) in pairs.items() if left != right)
