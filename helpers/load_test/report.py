"""GuideLLM's report, read into load points; what was not measured is None, never 0."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from helpers.artifacts import SLO, LoadPoint, Percentiles
from helpers.errors import SweepFailed
from helpers.runtime.environment import masked

GENERATION_SHARE = 0.1  # GuideLLM warns when making a prompt takes 1 % of TTFT; from here on it limits the load
FULL = 0.9  # of the requests allowed in flight: beyond, late requests waited for the server and not for the generator
LATE_SHARE = 0.05  # beyond this share of cut-off requests that were too late already, a p95 cannot have been met
SHORTFALL = 0.9  # of the rate asked for
GENERATOR = ("generation_delay_ttft", "root_late")  # GuideLLM's warnings about itself
WHOLE = 0.9  # of the output tokens asked for: fewer are another workload, however fast

Raw = Mapping[str, Any]
Ended = Literal["requests", "time", "errors"]


def read_report(
    path: Path, slo: SLO, error_limit: float = 0.01, asked: Sequence[int] = (), least: int = 0
) -> tuple[tuple[LoadPoint, ...], tuple[str, ...]]:
    """Return one point per strategy, in the order they ran, and every warning. Raises SweepFailed if unreadable.

    `asked` are the output tokens that the requests asked for, in turn; `least` answers make a 95th percentile.
    """
    return read_benchmarks(load(path)["benchmarks"], slo, error_limit, asked, least)


def read_benchmarks(
    benchmarks: Sequence[Raw], slo: SLO, error_limit: float = 0.01, asked: Sequence[int] = (), least: int = 0
) -> tuple[tuple[LoadPoint, ...], tuple[str, ...]]:
    """Return points and warnings of benchmarks that were read. Raises KeyError or TypeError for another form."""
    points = tuple(_point(b, slo, error_limit, asked, least) for b in benchmarks)
    told = [w for b, p in zip(benchmarks, points, strict=True) for w in _warnings(b, p)]
    return points, tuple(dict.fromkeys(told))


def load(path: Path) -> dict[str, Any]:
    """Return the report as plain JSON types. Raises SweepFailed where it is missing or cut short."""
    try:
        report: dict[str, Any] = json.loads(path.read_bytes())
        report["benchmarks"][0:0] = []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SweepFailed(f"{path} is no report of GuideLLM: {error}", do="Run guidellm_sweep again") from error
    return report


def measured(benchmark: Raw) -> bool:
    """Return whether a strategy was measured to its end: failures did not end it, and were not all that came."""
    counts = benchmark["metrics"]["request_totals"]
    return _ended_by(benchmark) != "errors" and bool(counts["successful"] or not counts["errored"])


def _ended_by(benchmark: Raw) -> Ended:
    constraints = benchmark["scheduler_state"]["end_queuing_constraints"]
    if "max_error_rate" in constraints:
        return "errors"
    return "requests" if {"min_requests", "max_requests"} & {*constraints} else "time"


def first_error(report: Raw) -> str | None:
    """Return what the first failed request said, without anything that looks like a key."""
    for benchmark in report["benchmarks"]:
        for request in benchmark["requests"]["errored"] or ():
            if text := request["info"].get("error"):
                return masked(str(text)).strip()[:300]
    return None


def name_of(strategy: Raw) -> str:
    """Return the strategy as plots and tables show it: `synchronous`, `concurrent@4`, `constant@12.5`."""
    if rate := strategy.get("rate"):
        return f"{strategy['type_']}@{rate:.3g}"
    return "@".join(filter(None, (strategy["type_"], str(strategy.get("streams") or ""))))


def _streams(strategy: Raw) -> int | None:
    """Requests that were to be kept in flight, None where a rate was asked for."""
    if strategy.get("rate"):
        return None
    return 1 if strategy["type_"] == "synchronous" else strategy.get("streams") or strategy.get("max_concurrency")


def _point(benchmark: Raw, slo: SLO, error_limit: float, asked: Sequence[int], required: int) -> LoadPoint:
    metrics, strategy = benchmark["metrics"], benchmark["config"]["strategy"]
    counts = metrics["request_totals"]
    ttft, itl = _percentiles(metrics["time_to_first_token_ms"]), _percentiles(metrics["inter_token_latency_ms"])
    e2e = _percentiles(metrics["request_latency"], factor=1000)
    errors = counts["errored"] / max(1, counts["successful"] + counts["errored"])
    on_time = _meets(ttft, slo.ttft_ms) and _meets(itl, slo.itl_ms) and _meets(e2e, slo.e2e_ms)
    attainment, goodput = _attainment(benchmark)
    enough = counts["successful"] >= max(1, required)
    output, least = _mean(metrics["output_token_count"]), _least_output(counts, asked)
    short = bool(counts["successful"]) and output < WHOLE * least
    return LoadPoint(
        strategy=name_of(strategy),
        rate=strategy.get("rate"),
        streams=_streams(strategy),
        ended_by=_ended_by(benchmark),
        enough=enough,
        concurrency=_mean(metrics["request_concurrency"], "total"),
        duration_seconds=max(benchmark["duration"], 1e-9),  # below 0 where no request was due in time
        successful=counts["successful"],
        errored=counts["errored"],
        incomplete=counts["incomplete"],
        requests_per_second=_mean(metrics["requests_per_second"]),
        output_tokens_per_second=_mean(metrics["output_tokens_per_second"]),
        ttft_ms=ttft,
        itl_ms=itl,
        e2e_ms=e2e,
        tps=_percentiles(metrics["output_tokens_per_second"]) if counts["successful"] else None,
        mean_input_tokens=_mean(metrics["prompt_token_count"]),
        mean_output_tokens=output,
        slo_attainment=attainment,
        goodput=goodput,
        meets_slo=enough and on_time and errors <= error_limit and not short and not _cut_off_late(benchmark, slo),
        short_of=least if short else None,
        limited_by_load_generator=_limited_by_generator(benchmark),
        saturated=_over_saturated(benchmark),
    )


def _least_output(counts: Raw, asked: Sequence[int]) -> float:
    """The fewest output tokens that the answered requests can have asked for on average: the shortest ones ended."""
    if not asked or not counts["successful"]:
        return 0.0
    rounds = math.ceil((counts["successful"] + counts["errored"] + counts["incomplete"]) / len(asked))
    shortest = [tokens for tokens in sorted(asked) for _ in range(rounds)][: counts["successful"]]
    return sum(shortest) / len(shortest)


def _mean(metric: Raw, status: str = "successful") -> float:
    return float(metric[status]["mean"] or 0.0)


def _percentiles(metric: Raw, factor: float = 1.0) -> Percentiles | None:
    distribution = metric["successful"]
    if not distribution["count"]:
        return None
    values = distribution["percentiles"]
    picked = {name: values[name] * factor for name in ("p50", "p90", "p95", "p99")}
    return Percentiles(mean=distribution["mean"] * factor, **picked)


def _meets(measured: Percentiles | None, limit: float | None) -> bool:
    return limit is None or (measured is not None and measured.p95 <= limit)


def _attainment(benchmark: Raw) -> tuple[float | None, float | None]:
    """GuideLLM's own share and rate of conforming requests; both None where no objective was set."""
    metrics = benchmark["metrics"]
    share, goodput = metrics.get("slo_attainment"), metrics.get("request_goodput")
    return (None if share is None else float(share), None if goodput is None else _mean(goodput))


def _cut_off_late(benchmark: Raw, slo: SLO) -> bool:
    """Whether too many requests were cut off by the end of the strategy when they had missed the objective already.

    Percentiles over finished requests alone would flatter a server that is behind: its slowest never finish.
    """
    late = sum(_was_late(r, slo) for r in benchmark["requests"]["incomplete"] or ())
    return late > LATE_SHARE * (late + len(benchmark["requests"]["successful"] or ()))


def _was_late(request: Raw, slo: SLO) -> bool:
    start, end = request.get("request_start_time"), request.get("request_end_time")
    waited = 1000 * (end - start) if start and end else 0.0
    first = request.get("time_to_first_token_ms") or waited
    return (slo.ttft_ms is not None and first > slo.ttft_ms) or (slo.e2e_ms is not None and waited > slo.e2e_ms)


def _limited_by_generator(benchmark: Raw) -> bool:
    observed = {w["code"]: w["observed"] for w in benchmark.get("warnings") or ()}
    strategy = benchmark["config"]["strategy"]
    room = _mean(benchmark["metrics"]["request_concurrency"], "total") < FULL * (strategy.get("max_concurrency") or 1)
    late = "root_late" in observed and bool(strategy.get("rate")) and room
    return late or observed.get("generation_delay_ttft", 0.0) > GENERATION_SHARE


def _over_saturated(benchmark: Raw) -> bool:
    """What GuideLLM's detector said last: requests in flight and TTFT both grew over the strategy."""
    seen = benchmark.get("scheduler_state", {}).get("scheduler_constraints", {}).get("over_saturation") or {}
    return bool(seen.get("metadata", {}).get("is_over_saturated"))


def _warnings(benchmark: Raw, point: LoadPoint) -> list[str]:
    others = [w for w in benchmark.get("warnings") or () if w["code"] not in GENERATOR]
    told = [f"{point.strategy}: {w['message']} {w.get('note') or ''}".strip() for w in others]
    if point.limited_by_load_generator:
        told.append(
            f"{point.strategy}: requests were made or sent late, so the load generator may have limited this load, and "
            "not the server; leave nothing else running on this machine"
        )
    if point.rate and point.requests_per_second < SHORTFALL * point.rate:
        told.append(
            f"{point.strategy}: {point.requests_per_second:.3g} of {point.rate:.3g} requests/s were reached in "
            f"{point.duration_seconds:.0f} s: the server was at its limit, or the time too short for a steady load "
            "(MIN_REQUESTS)"
        )
    if not point.enough:
        told.append(
            f"{point.strategy}: {point.successful} answers within {point.duration_seconds:.3g} s are too few for a "
            "95th percentile, so it meets no SLO; give it more time (MAX_SECONDS)"
        )
    if point.short_of:
        told.append(
            f"{point.strategy}: its answers had {point.mean_output_tokens:.3g} of the {point.short_of:.3g} tokens that "
            "were asked for with ignore_eos, so it is no measurement of this workload"
        )
    if point.errored:
        told.append(f"{point.strategy}: {point.errored} of {point.errored + point.successful} requests failed")
    return told
