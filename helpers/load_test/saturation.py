"""Which loads were more than the server can keep up with?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from helpers.artifacts import LoadPoint

SHORTFALL = 0.9  # of the rate asked for
FLAT = 0.25  # GuideLLM's own bound for the flat part behind a knee (guidellm.benchmark.analysis.knee)
SPAN = 2.0  # times the requests in flight: closer together, noise would decide


def marked(points: Sequence[LoadPoint]) -> tuple[LoadPoint, ...]:
    """Return the points of one sweep with `saturated` set; what GuideLLM detected itself stays marked."""
    levels = sorted((p for p in points if _streams(p)), key=_streams)
    flat = next((_streams(p) for p in levels if _is_flat(p, levels)), math.inf)
    return tuple(
        p.model_copy(
            update={"saturated": p.saturated or p.strategy == "throughput" or _falls_short(p) or _streams(p) >= flat}
        )
        for p in points
    )


def _streams(point: LoadPoint) -> float:
    """Requests kept in flight, 0 where the strategy does not set that."""
    return float(point.streams or 0) if point.strategy.startswith("concurrent") else 0.0


def _falls_short(point: LoadPoint) -> bool:
    """Whether fewer requests were answered than were to be sent, but for those under way when time was over."""
    if not point.rate or point.e2e_ms is None:
        return False
    under_way = point.e2e_ms.p50 / 1000 / point.duration_seconds
    return point.requests_per_second < SHORTFALL * point.rate * (1 - min(under_way, 1.0))


def _is_flat(point: LoadPoint, levels: Sequence[LoadPoint]) -> bool:
    """Whether throughput grew by less than a quarter of what requests in flight did, on logarithms.

    With as many in flight as before over throughput as before, latency grew by the rest (Little 1961).
    """
    lower = [each for each in levels if _streams(each) * SPAN <= _streams(point) and each.requests_per_second]
    if not lower or not point.requests_per_second:
        return False
    before = lower[-1]
    grown = math.log(point.requests_per_second / before.requests_per_second)
    return grown < FLAT * math.log(_streams(point) / _streams(before))
