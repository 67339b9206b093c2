"""What a record measured, by `measurement.metric`: where approval, gate and recommendation take their numbers from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from helpers.artifacts import AnyMeasurement, Interval, LoadTest, Record
from helpers.artifacts.speed import BETTER
from helpers.artifacts.speed import figures as of_a_load
from helpers.datasets.criteria import Criteria


class Figure(NamedTuple):
    """One metric of one measurement; `value` is None where a load test found no operating point."""

    measurement: AnyMeasurement
    value: float | None
    interval: Interval | None = None  # of a score
    measured: tuple[float, ...] = ()  # of a load test: what the value is the mean of
    n: int = 0  # questions, or measurements


def figures(record: Record) -> dict[str, Figure]:
    """Return every figure of a record; what one of the measurements of a load lacks is None."""
    return {f"{each.name}.{name}": figure for each in record.measurements for name, figure in _of(each)}


def _of(measurement: AnyMeasurement) -> Iterator[tuple[str, Figure]]:
    if isinstance(measurement, LoadTest):
        means = of_a_load(measurement.headline) if measurement.headline else {}
        points = [of_a_load(point) for point in measurement.measured]
        for name in BETTER:
            values = tuple(value for point in points if (value := point[name]) is not None)
            yield name, Figure(measurement, means.get(name), measured=values, n=len(points))
    else:
        for metric in measurement.metrics:
            yield metric.name, Figure(measurement, metric.value, metric.interval, n=metric.n)


def required(criteria: Criteria, record: Record) -> dict[str, Figure]:
    """Return a record's figures. Raises InvalidCriteria for lines about what it did not measure."""
    found = figures(record)
    criteria.require(found)
    return found
