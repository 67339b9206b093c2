"""Loads that other tools measured, as one load test; its operating point is the highest that is kept up with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from math import ceil, isfinite
from pathlib import Path
from statistics import fmean
from typing import Any

from helpers.artifacts import SLO, LoadPoint, LoadTest, Percentiles
from helpers.artifacts.measurement import LOAD_TEST
from helpers.load_test.choosing import operating_point
from helpers.load_test.saturation import marked

ENOUGH = 60  # answers for a 95th percentile
SHARES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True)
class Workload:
    """What was sent: as the tool names it, with tokens in and out where it asked for a number of them."""

    name: str
    prompt_tokens: int | None = None
    output_tokens: int = 0


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

    def asked(test: LoadTest) -> tuple[Any, ...]:
        return test.workload, test.prompt_tokens or 0, test.output_tokens, sorted(test.versions.items())

    found = []
    for _, group in groupby(sorted(tests, key=asked), asked):
        same = list(group)
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
