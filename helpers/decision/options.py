"""Each version as a choice: its gates, its capacity and its cost."""

from __future__ import annotations

import math

from helpers.comparison import Standing
from helpers.decision.contract import Gate, Option, State
from helpers.decision.needs import Needs
from helpers.decision.prices import PriceList

NO_SLO = "{}"


def option(row: Standing, needs: Needs, prices: PriceList) -> Option:
    """Return a version with what it takes to serve the target rate, and what that costs."""
    hourly = prices.hourly(row.hardware_type, row.hardware_count)
    replicas = replicas_for(needs.target_rate, row.requests_per_second, needs.headroom)
    return Option(
        label=row.label,
        accuracy=row.accuracy,
        interval=row.interval,
        ttft_p95_ms=row.ttft_p95_ms,
        requests_per_second=row.requests_per_second,
        replicas=replicas,
        cost_per_hour=None if hourly is None else hourly * (replicas or 1),
        cost_per_million_output_tokens=_unit_cost(hourly, row.output_tokens_per_second, 1e6),
        cost_per_thousand_requests=_unit_cost(hourly, row.requests_per_second, 1e3),
        startup_seconds=row.startup_seconds,
        gates=tuple(_gates(row, needs)),
    )


def replicas_for(target_rate: float, rate: float | None, headroom: float) -> int | None:
    """Return how many replicas serve `target_rate` requests/s when each may be loaded to 1 - headroom of `rate`."""
    if not target_rate or not rate:
        return None
    return math.ceil(target_rate / (rate * (1 - headroom)) - 1e-9)


def _unit_cost(hourly: float | None, per_second: float | None, units: float) -> float | None:
    return None if hourly is None or not per_second else hourly / 3600 / per_second * units


def _held(row: Standing) -> State:
    """The operating point was chosen for meeting the SLO; whether it does so again is what its repeats say.

    What a saturated server was seen to do it does not keep up.
    """
    if row.requests_per_second is None:
        return "missed"
    if row.slo_repeats is None:
        return "unsure" if row.saturated or row.slo != NO_SLO else "met"
    met, repeats = row.slo_repeats
    return "met" if met == repeats and not row.saturated else "unsure" if met else "missed"


def _seen(row: Standing) -> str:
    repeats = "; {} of {} repeats met it".format(*row.slo_repeats) if row.slo_repeats else ""
    return row.operating_point.rstrip(". ") + repeats


def _gates(row: Standing, needs: Needs) -> list[Gate]:
    load = Gate(
        tier="system performance",
        asked="a load within the SLO",
        seen=_seen(row),
        state=_held(row),
        # Where repeats miss what was met once, lower loads may hold.
        narrow=row.nearly_met or row.requests_per_second is not None,
    )
    if not needs.min_accuracy:
        return [load]
    state: State = "missed"
    if row.accuracy >= needs.min_accuracy:
        state = "met" if row.interval.low >= needs.min_accuracy else "unsure"
    accuracy = Gate(
        tier="factual accuracy",
        asked=f"accuracy of {needs.min_accuracy:g} or more",
        seen=f"{row.accuracy:.3f} ({row.interval.low:.3f} to {row.interval.high:.3f})",
        state=state,
        narrow=row.accuracy < needs.min_accuracy <= row.interval.high,
    )
    return [load, accuracy]
