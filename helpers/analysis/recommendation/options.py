"""Each version as a choice: its gates, its capacity and its cost."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from helpers.analysis.comparison import Standing
from helpers.analysis.comparison.common_load import LATENCIES
from helpers.analysis.comparison.tiers import Row
from helpers.analysis.recommendation.contract import Gate, Option, State
from helpers.analysis.recommendation.needs import Needs
from helpers.analysis.recommendation.prices import PriceList
from helpers.artifacts import Interval
from helpers.artifacts.speed import BETTER
from helpers.datasets.criteria import Bound, Criteria, Criterion

NO_SLO = "{}"


def option(row: Standing, others: Sequence[Row], criteria: Criteria, needs: Needs, prices: PriceList) -> Option:
    """Return a version with what it takes to serve the target rate, and what that costs."""
    hourly = prices.hourly(row.hardware_type, row.hardware_count)
    replicas = replicas_for(needs.target_rate, row.requests_per_second, needs.headroom)
    return Option(
        label=row.label,
        accuracy=row.accuracy,
        interval=row.interval,
        n=row.n,
        kind=row.kind,
        quality=quality(row.accuracy, row.chance),
        figures={name: getattr(row, name) for name in BETTER},
        keeps=_keeps(row),
        replicas=replicas,
        cost_per_hour=None if hourly is None else hourly * (replicas or 1),
        cost_per_million_output_tokens=_unit_cost(hourly, row.output_tokens_per_second, 1e6),
        cost_per_thousand_requests=_unit_cost(hourly, row.requests_per_second, 1e3),
        startup_seconds=row.startup_seconds,
        gates=tuple(_gates(row, others, criteria)),
    )


def at_common_load(found: Option, row: Standing, load: float | None) -> Option:
    """Return the option with its latencies at a load (requests/s), None where they are not known there."""
    there = row.at(load)
    latencies = {name: there[name].value if name in there else None for name in LATENCIES}
    return found.model_copy(update={"figures": found.figures | latencies})


def replicas_for(target_rate: float, rate: float | None, headroom: float) -> int | None:
    """Return how many replicas serve `target_rate` requests/s when each may be loaded to 1 - headroom of `rate`."""
    if not target_rate or not rate:
        return None
    return math.ceil(target_rate / (rate * (1 - headroom)) - 1e-9)


def _unit_cost(hourly: float | None, per_second: float | None, units: float) -> float | None:
    return None if hourly is None or not per_second else hourly / 3600 / per_second * units


def quality(accuracy: float, chance: float | None) -> float:
    """Return the accuracy above chance, as a share of what is above chance; all of it where chance is not known."""
    guessed = chance or 0.0
    return max((accuracy - guessed) / (1 - guessed), 0.0) if guessed < 1 else 0.0


def _gates(row: Standing, others: Sequence[Row], criteria: Criteria) -> list[Gate]:
    gates = [_load(row)] if row.workload else []
    if row.chance is not None and row.guessing is not None:
        gates.append(_guessing(row, row.chance, row.guessing))
    return [*gates, *(_must(line, line.must, row, others) for line in criteria.musts if line.must)]


def _keeps(row: Standing) -> float | None:
    return row.keeps(json.loads(row.slo), row.interval.confidence)


def _beyond(row: Standing) -> bool:
    """Whether latencies at the operating point lie beyond the SLO in any session."""
    limits = {name.replace("_ms", "_p95_ms"): limit for name, limit in json.loads(row.slo).items()}
    return any((found := row.bounds(name)) and found.low > limit for name, limit in limits.items())


def _load(row: Standing) -> Gate:
    """The operating point was chosen for meeting the SLO; whether a load does so again is what intervals say.

    What a saturated server was seen to do it does not keep up.
    """
    state: State = "met"
    doubt = told = ""
    keeps = _keeps(row)
    if row.requests_per_second is None or (keeps is None and _beyond(row)):
        state = "missed"
    elif row.saturated:
        state, doubt = "unsure", "it may not keep up with the load that it was measured at"
    elif row.slo_repeats is None and row.slo != NO_SLO:
        state, doubt = "unsure", "its load test was not repeated"
    elif row.slo != NO_SLO and keeps is None:
        state, doubt = "unsure", "its latency is so near to the SLO that another start of the server may miss it"
    if row.slo_repeats:
        told = "; {} of {} repeats met it".format(*row.slo_repeats)
    if keeps and row.slo != NO_SLO:
        told += f"; sure up to {keeps:.3g} requests/s"
    return Gate(
        name="load",
        asked="a load within the SLO",
        seen=row.operating_point.rstrip(". ") + told,
        state=state,
        # Where repeats miss what was met once, lower loads may hold.
        narrow=row.nearly_met or row.requests_per_second is not None,
        doubt=doubt,
    )


def _guessing(row: Standing, chance: float, p_value: float) -> Gate:
    """Better than guessing is what a one-sided test says; sure it is where it still does with all versions together."""
    level = 1 - row.interval.confidence
    together = p_value if row.guessing_together is None else row.guessing_together
    state: State = "met" if together < level else "unsure" if p_value < level else "missed"
    return Gate(
        name="guessing",
        asked="answers better than guessing",
        seen=f"{row.accuracy:.3f} ({row.interval.low:.3f} to {row.interval.high:.3f}), guessing {chance:.3f}",
        state=state,
        narrow=row.interval.high > chance,
        doubt="of so many versions one may look better than guessing by chance" if state == "unsure" else "",
    )


def _must(line: Criterion, must: Bound, row: Standing, others: Sequence[Row]) -> Gate:
    """What the criteria ask: sure it is where the whole interval meets it, of a score or of the repeats' mean."""
    score = line.kind == "evaluation"
    value, bounds = _seen(line, row, others)
    state: State = "missed"
    doubt, seen = "", "not measured" if value is None else f"{value:.3f}" if score else f"{value:.4g}"
    if value is not None and must.holds(value):
        sure = bounds is not None and must.holds(bounds.low) and must.holds(bounds.high)
        state = "met" if sure else "unsure"
        doubt = f"chance may have brought {line.name} to the {must.value:g} that you ask for"
    if bounds:
        seen += f" ({bounds.low:.3f} to {bounds.high:.3f})" if score else f" ({bounds.low:.4g} to {bounds.high:.4g})"
    return Gate(
        name=line.name,
        asked=f"{line.name} {must}",
        seen=seen,
        state=state,
        narrow=state == "missed" and (row.nearly_met if value is None else _nearly(must, bounds)),
        doubt=doubt if state == "unsure" else "",
    )


def _nearly(must: Bound, bounds: Interval | None) -> bool:
    return bounds is not None and (must.holds(bounds.low) or must.holds(bounds.high))


def _seen(line: Criterion, row: Standing, others: Sequence[Row]) -> tuple[float | None, Interval | None]:
    """Return the value that a line is about, and its interval; of what a version is not placed by from its own row."""
    placed = row.evaluation if line.kind == "evaluation" else row.load_test
    if placed not in ("", line.measurement):
        cells = [cell for each in others if f"{each.name}.{each.metric}" == line.name for cell in each.cells]
        return next(((cell.value, cell.interval) for cell in cells if cell.label == row.label), (None, None))
    if line.kind == "evaluation":
        return row.accuracy, row.interval
    return getattr(row, line.metric), row.bounds(line.metric)
