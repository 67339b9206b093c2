"""A version's latencies at a load that others carry too: a quicker version bears more load, and waits longer there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from pydantic import Field

from helpers.artifacts import Contract, Interval, LoadPoint, LoadTest
from helpers.artifacts.speed import figures
from helpers.statistics import Estimate, lead, mean_interval, p_value

LATENCIES = ("ttft_p95_ms", "itl_p95_ms", "e2e_p95_ms")
ALONE = 1.1  # requests in flight on average: no load is lower than one request at a time
SAME = 1.02  # loads that differ by less than this factor are one: no rate is kept more exactly
# Started anew, a server is a little quicker or slower for as long as it runs. How much is not known from few sessions:
# this standard deviation (of the logarithm) is assumed, until there are as many as it takes to see it.
SESSION, SESSIONS = 0.2, 3


class Measured(Contract):
    """The latencies that were measured at one load."""

    requests_per_second: float
    latencies: dict[str, float] = Field(description="95th percentiles in ms")
    alone: bool = Field(description="whether one request at a time was sent")
    meets_slo: bool = True


class AtLoad(Contract):
    """One latency (ms) at a load; `low` and `high` say how far interpolation may be wrong."""

    value: float
    low: float = Field(description="at the next lower load that was measured, 0 where none was")
    high: float = Field(description="at the next higher load that was measured: latency does not fall with load")
    scatter: tuple[float, ...] = Field(
        default=(), description="of repeats, or of SESSIONS sessions and more, as factors of their geometric mean"
    )
    sessions: int = 1

    @property
    def exact(self) -> bool:
        """Whether this very load was measured."""
        return self.low == self.high

    def around(self, value: float) -> list[float]:
        """Return the logarithms of a value with the scatter of the repeats."""
        return [math.log(value) + math.log(each) for each in self.scatter] if value else []

    def estimate(self, value: float) -> list[Estimate]:
        """Return a value's logarithm with all its noise, that of a session too; nothing where noise is not known."""
        found = Estimate.of(self.around(value))
        return [found, other_sessions(self.sessions)] if found else []

    @property
    def noise(self) -> Interval | None:
        """The interval of the repeats around both measured neighbours; None where noise is not known."""
        found = mean_interval([math.log(each) for each in self.scatter])
        if found is None:
            return None
        bounds = {"low": self.low * math.exp(found.low), "high": self.high * math.exp(found.high)}
        return found.model_copy(update=bounds)


class Session(Contract):
    """What was measured from one start of the server."""

    curve: tuple[Measured, ...] = Field(default=(), description="latencies by load, up to the operating point")
    repeats: dict[str, tuple[float, ...]] = Field(default={}, description="figures at the operating point")

    def at(self, name: str, load: float) -> AtLoad | None:
        """Return a latency at a load (requests/s); see `at_load`."""
        return at_load(self.curve, name, load, self.repeats.get(name, ()))


def curve(sweep: LoadTest) -> tuple[Measured, ...]:
    """Return the latencies by load, up to the operating point, which stands for the mean of its repeats."""
    headline, index = sweep.headline, sweep.operating_point.index
    if headline is None:
        return ()
    top = headline.requests_per_second
    lower = [point for place, point in enumerate(sweep.points) if place != index and point.requests_per_second < top]
    usable = [point for point in lower if point.enough and not point.short_of and not point.limited_by_load_generator]
    found = [_measured(point, alone=point.concurrency <= ALONE) for point in usable]
    chosen = sweep.chosen
    last = Measured(
        requests_per_second=top,
        latencies=_known(figures(headline)),
        alone=chosen is not None and chosen.concurrency <= ALONE,
        meets_slo=2 * sum(point.meets_slo for point in sweep.measured) >= len(sweep.measured),
    )
    return (*sorted(found, key=lambda each: each.requests_per_second), last)


def _measured(point: LoadPoint, *, alone: bool) -> Measured:
    return Measured(
        requests_per_second=point.requests_per_second,
        latencies=_known(figures(point)),
        alone=alone,
        meets_slo=point.meets_slo,
    )


def _known(found: dict[str, float | None]) -> dict[str, float]:
    return {name: value for name in LATENCIES if (value := found[name])}


def common_load(curves: Iterable[Sequence[Measured]]) -> float | None:
    """Return the highest load (requests/s) that all carry within the SLO, of those that carry one."""
    return min((found[-1].requests_per_second for found in curves if found), default=None)


def over_sessions(sessions: Sequence[Session], name: str, load: float) -> AtLoad | None:
    """Return a latency at a load over all sessions, None where one of them does not know it."""
    found = [there for each in sessions if (there := each.at(name, load))]
    if not found or len(found) < len(sessions):
        return None
    values, lows, highs = ([getattr(each, end) for each in found] for end in ("value", "low", "high"))
    few = [factor for each in found for factor in each.scatter] if all(each.scatter for each in found) else []
    return AtLoad(
        value=geometric(values),
        low=geometric(lows) if min(lows) > 0 else 0.0,
        high=geometric(highs),
        scatter=tuple(few) if len(found) < SESSIONS else _scatter(values),
        sessions=len(found),
    )


def pooled(repeats: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Return the values of which the mean and the noise are looked at, from those of each session.

    Of few sessions these are the repeats of each, around the mean of all; of SESSIONS and more their own means.
    """
    means = [math.fsum(each) / len(each) for each in repeats if each]
    if not means or len(means) < len(repeats):
        return ()
    if len(means) >= SESSIONS:
        return tuple(means)
    if len(means) == 1:
        return tuple(repeats[0])
    middle = math.fsum(means) / len(means)
    return tuple(value * middle / (mean or 1.0) for each, mean in zip(repeats, means, strict=True) for value in each)


def other_sessions(count: int) -> Estimate:
    """Return what another session would change, as far as `pooled` values do not show it."""
    return Estimate(0.0, SESSION**2 / count if count < SESSIONS else 0.0)


def at_load(points: Sequence[Measured], name: str, load: float, repeats: Sequence[float] = ()) -> AtLoad | None:
    """Return a latency at a load, None above the operating point or where it was not measured.

    Between two loads the logarithm of the latency is taken as linear. A load between was measured once or not at all,
    the operating point `repeats` times: there the scatter of one measurement counts, here that of a mean.
    """
    known = [each for each in points if name in each.latencies]
    if not known or known[-1] != points[-1] or load > points[-1].requests_per_second * SAME:
        return None
    scatter = _scatter(repeats)
    last = known[-1].latencies[name]
    if load * SAME >= known[-1].requests_per_second:
        return AtLoad(value=last, low=last, high=last, scatter=scatter)
    below = [each for each in known if each.requests_per_second <= load]
    above = next(each for each in known if each.requests_per_second > load)
    high = above.latencies[name]
    single = tuple(each ** math.sqrt(len(scatter)) for each in scatter)
    if not below:
        return AtLoad(value=high, low=high if above.alone else 0.0, high=high, scatter=single)
    low = below[-1].latencies[name]
    part = (load - below[-1].requests_per_second) / (above.requests_per_second - below[-1].requests_per_second)
    value = low * (high / low) ** part
    return AtLoad(value=value, low=min(low, high), high=max(low, high), scatter=single)


def differ(first: AtLoad, second: AtLoad, *, this_session: bool = False) -> float | None:
    """Return the p-value of no difference, by Welch's test of the logarithms; None where noise is not known.

    It is 1 where the quicker one may be no quicker, as far as interpolation may be wrong. `this_session` leaves out
    what another start of the servers may change.
    """
    quick, slow = (first, second) if first.value < second.value else (second, first)
    if quick.high > slow.low:
        return 1.0
    one, other = quick.estimate(quick.high), slow.estimate(slow.low)
    parts = slice(1) if this_session else slice(None)
    return p_value(lead(one[parts], other[parts])) if one and other else None


def geometric(values: Sequence[float]) -> float:
    """Return the geometric mean of positive values."""
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def _scatter(values: Sequence[float]) -> tuple[float, ...]:
    if len(values) < 2 or min(values) <= 0:
        return ()
    mean = geometric(values)
    return tuple(each / mean for each in values)
