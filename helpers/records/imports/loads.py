"""Loads that other tools measured, as one load test; its operating point is the highest that is kept up with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil, isclose, isfinite
from pathlib import Path
from statistics import fmean

from helpers.artifacts import SLO, LoadPoint, LoadTest, Percentiles
from helpers.artifacts.measurement import LOAD_TEST
from helpers.load_test.choosing import operating_point
from helpers.load_test.saturation import marked

ENOUGH = 60  # answers for a 95th percentile
CLOSE = 0.1  # of the tokens a request: loads of one workload differ by no more, as a model ends its answers itself
ABOUT = ", about "
SHARES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True)
class Workload:
    """What was sent: as the tool names it, with tokens in and out where it asked for a number of them."""

    name: str
    prompt_tokens: int | None = None
    output_tokens: int = 0


def seen(tool: str, tokens_in: float, tokens_out: float) -> Workload:
    """Return the workload of a report that does not say what was sent: as many tokens as came are what is known."""
    return Workload(f"{tool}{ABOUT}{tokens_in:.0f} tokens in and {tokens_out:.0f} out")


def one_workload(one: LoadTest, other: LoadTest) -> bool:
    """Return whether the same was sent, as far as is known: where it was seen only, about as many tokens."""
    if one.workload.partition(ABOUT)[:2] != other.workload.partition(ABOUT)[:2]:
        return False
    if ABOUT in one.workload:
        return all(isclose(a, b, rel_tol=CLOSE) for a, b in zip(_tokens(one), _tokens(other), strict=True))
    told = [(each.workload, each.prompt_tokens, each.output_tokens) for each in (one, other)]
    return told[0] == told[1]


def _tokens(test: LoadTest) -> tuple[float, float]:
    """Return the mean tokens of a request, in and out."""
    points = [point for point in test.points if point.successful]
    return (
        fmean([point.mean_input_tokens for point in points] or [0.0]),
        fmean([point.mean_output_tokens for point in points] or [0.0]),
    )


def load_test(
    path: Path,
    workload: Workload,
    points: Sequence[LoadPoint],
    *,
    profile: str,
    started: datetime,
    ended: datetime,
    versions: dict[str, str],
    warnings: Sequence[str] = (),
) -> LoadTest:
    """Return the load test; a load that was measured several times has repeats."""
    slo, measured = SLO(), marked(points)
    chosen = operating_point(measured, slo)
    repeats = [each for each in measured if chosen.index is not None and _same(each, measured[chosen.index])]
    return LoadTest(
        name=LOAD_TEST,
        imported=True,
        started=started,
        ended=ended,
        versions=versions,
        settings={},
        profile=profile,
        workload=workload.name,
        prompt_tokens=workload.prompt_tokens,
        output_tokens=workload.output_tokens,
        slo=slo,
        points=measured,
        operating_point=chosen,
        repeats=tuple(repeats) if len(repeats) > 1 else (),
        prefix_cache=None,
        warnings=tuple(dict.fromkeys(warnings)),
        report=path.name,
    )


def _same(one: LoadPoint, other: LoadPoint) -> bool:
    return (one.strategy, one.rate, one.streams) == (other.strategy, other.rate, other.streams)


def merged(tests: Iterable[LoadTest]) -> list[LoadTest]:
    """Return one load test of each workload, from files that hold one load each."""
    groups: list[list[LoadTest]] = []
    for test in tests:
        known = (each for each in groups if one_workload(each[0], test) and each[0].versions == test.versions)
        if (group := next(known, None)) is None:
            groups.append([test])
        else:
            group.append(test)
    found = []
    for same in groups:
        if len(same) == 1:
            found += same
            continue
        found.append(
            load_test(
                Path(same[0].report),
                Workload(same[0].workload, same[0].prompt_tokens, same[0].output_tokens),
                [point for test in same for point in test.points],
                profile=same[0].profile,
                started=min(test.started for test in same),
                ended=max(test.ended for test in same),
                versions=same[0].versions,
                warnings=[text for test in same for text in test.warnings],
            )
        )
    return found


def percentiles(values: Sequence[float]) -> Percentiles | None:
    """Return the distribution of single values by nearest rank, None of none."""
    ordered = sorted(value for value in values if isfinite(value))
    if not ordered:
        return None
    picked = {name: ordered[ceil(share * len(ordered)) - 1] for name, share in SHARES.items()}
    return Percentiles(mean=fmean(ordered), **picked)
