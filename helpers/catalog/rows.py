"""A record as the flat rows of the catalog's loader.

The loader takes 4 for an integer and 4.0 for a double, and the dashboard shows an invented number where a key is
missing or has the wrong type: hence every number here is a `float` or an `int` on purpose, and a row that would lack a
measurement is left out whole.
"""

from __future__ import annotations

import json
import math
from datetime import datetime

from helpers.artifacts import LoadPoint, Percentiles, Record

Row = dict[str, str | int | float]
# The catalog says only "tokens per second"; its own sample data fits this reading.
TPS_DEFINITION = "output tokens per second over time, all requests together (GuideLLM's rate distribution)"


def performance_rows(record: Record) -> list[Row]:
    """Return the operating point as the performance view reads it; nothing where any of its measurements is missing."""
    point = record.sweep.chosen
    latencies = _latencies(point) if point else None
    if point is None or latencies is None or not _real(point, latencies):
        return []
    engine, sweep = record.endpoint, record.sweep
    identity: Row = {
        "id": record.record_id,
        "config_id": record.record_id,
        "model_id": record.selection.name,
        "scenario_id": f"{sweep.workload}-{sweep.profile}-{point.strategy}",
        "use_case": sweep.workload,
    }
    speed: Row = {
        "requests_per_second": float(point.requests_per_second),
        "mean_input_tokens": float(point.mean_input_tokens),
        "mean_output_tokens": float(point.mean_output_tokens),
    }
    software: Row = {
        "framework": engine.engine,
        "framework_type": engine.engine,
        "framework_version": engine.engine_version,
        "deployment_type": record.purpose,
        "entrypoint": " ".join([engine.engine, *engine.engine_args]),
    }
    return [_dates(sweep.ended) | identity | _hardware(record) | latencies | speed | software | _circumstances(record)]


def evaluation_rows(record: Record) -> list[Row]:
    """Return the score in percent, as the catalog's own records have it, with its interval beside it."""
    evaluation = record.evaluation
    score: Row = {
        "benchmark": evaluation.task,
        "score": float(evaluation.score * 100),
        "score_metric": "accuracy_percent",
        "score_low": float(evaluation.interval.low * 100),
        "score_high": float(evaluation.interval.high * 100),
        "num_questions": int(evaluation.n),
        "model_version": record.selection.version,
        "record_id": record.record_id,
    }
    return [_dates(evaluation.ended) | score | _hardware(record)]


def _dates(when: datetime) -> Row:
    milliseconds = int(when.timestamp() * 1000)
    return {"created_at": milliseconds, "updated_at": milliseconds}


def _hardware(record: Record) -> Row:
    """Return the configuration and the deprecated pair: the dashboard reads one, the recommendations the other."""
    hardware = record.endpoint.hardware
    return {
        "hardware_configuration": f"{hardware.count} x {hardware.type}",
        "hardware_type": hardware.type,
        "hardware_count": math.ceil(
            hardware.count
        ),  # whole by the catalog's contract; the configuration says it exactly
    }


def _latencies(point: LoadPoint) -> Row | None:
    """Return the sixteen latency keys in milliseconds (tps: tokens per second), None where one is missing."""
    row: Row = {}
    measured: dict[str, Percentiles | None] = {
        "ttft": point.ttft_ms,
        "e2e": point.e2e_ms,
        "tps": point.tps,
        "itl": point.itl_ms,
    }
    for name, values in measured.items():
        if values is None:
            return None
        row |= {f"{name}_{key}": float(getattr(values, key)) for key in ("mean", "p90", "p95", "p99")}
    return row


def _real(point: LoadPoint, latencies: Row) -> bool:
    """Whether all numbers are finite and those that the dashboard replaces when they are zero are not."""
    numbers = [point.requests_per_second, point.mean_input_tokens, point.mean_output_tokens, *latencies.values()]
    return all(math.isfinite(float(number)) for number in numbers) and 0 not in (
        point.requests_per_second,
        latencies["ttft_mean"],
    )


def _circumstances(record: Record) -> Row:
    sweep, slo = record.sweep, record.sweep.slo
    args = {"prompt_tokens": sweep.prompt_tokens, "output_tokens": sweep.output_tokens}
    rows: Row = {
        "model_version": record.selection.version,
        "model_digest": record.selection.digest,
        "tps_definition": TPS_DEFINITION,
        "git_commit": record.git_commit,
        "load_generator": f"guidellm {sweep.versions['guidellm']}" if "guidellm" in sweep.versions else "guidellm",
    }
    limits = {"slo_ttft_p95_ms": slo.ttft_ms, "slo_itl_p95_ms": slo.itl_ms, "slo_e2e_p95_ms": slo.e2e_ms}
    rows |= {name: float(limit) for name, limit in limits.items() if limit is not None}
    if sweep.prompt_tokens is not None:
        rows["profiler_config"] = json.dumps({"args": args})
    if record.endpoint.startup_seconds is not None:
        rows["startup_seconds"] = float(record.endpoint.startup_seconds)
    return rows
