"""A record as the flat rows of the catalog's loader.

The loader takes 4 for an integer and 4.0 for a double, and the dashboard shows an invented number where a key is
missing or has the wrong type: hence every number here is a `float` or an `int` on purpose, and a row that would lack a
measurement is left out whole.
"""

from __future__ import annotations

import json
import math
from datetime import datetime

from helpers.artifacts import Evaluation, Headline, LoadTest, Metric, Percentiles, Record
from helpers.artifacts.deployment import UNKNOWN
from helpers.load_test.settings import shape_name

Row = dict[str, str | int | float]  # a truth value is an int
# The catalog says only "tokens per second"; its own sample data fits this reading.
SCAN = "garak"  # the evaluator whose figures are no scores of answers
ATTACKED, MOST = "attack_success_rate", 0.3  # the metric of the catalog's own records, and EvalHub's threshold
ACCURACY = "accuracy_percent"  # as the catalog's own records have it
TPS_DEFINITION = "output tokens per second over time, all requests together (GuideLLM's rate distribution)"


def performance_rows(record: Record) -> list[Row]:
    """Return each load test's operating point as the performance view reads it; none that lacks a figure."""
    return [row for each in record.load_tests for row in _performance(record, each)]


def _performance(record: Record, sweep: LoadTest) -> list[Row]:
    point, headline = sweep.chosen, sweep.headline
    latencies = _latencies(headline) if headline else None
    if point is None or headline is None or latencies is None or not _real(headline, latencies):
        return []
    engine = record.endpoint
    identity: Row = {
        "id": record.record_id,
        "config_id": f"{record.record_id}-{sweep.name}",
        "model_id": record.selection.name,
        "scenario_id": f"{_use_case(record, sweep)}-{sweep.profile}-{point.strategy}",
        "use_case": _use_case(record, sweep),
    }
    speed: Row = {
        "requests_per_second": float(headline.requests_per_second),
        "mean_input_tokens": float(headline.mean_input_tokens),
        "mean_output_tokens": float(headline.mean_output_tokens),
    }
    software: Row = {
        "framework": engine.engine,
        "framework_type": engine.engine,
        "framework_version": engine.engine_version,
        "deployment_type": record.purpose,
        "entrypoint": " ".join([engine.engine, *engine.engine_args]),
    }
    return [
        _dates(sweep.ended)
        | identity
        | _hardware(record)
        | latencies
        | speed
        | software
        | _circumstances(record, sweep)
    ]


def _use_case(record: Record, sweep: LoadTest) -> str:
    """Return a name of the catalog for its own workload only: any other one is not to be held against its numbers."""
    if sweep.prompt_tokens is None:
        return f"{record.use_case}_prompts"
    return shape_name(sweep.workload, sweep.prompt_tokens, sweep.output_tokens)


def evaluation_rows(record: Record) -> list[Row]:
    """Return each score in percent, as the catalog's own records have it, with its interval beside it."""
    return [_score(record, each) for each in record.evaluations if each.evaluator != SCAN]


def security_rows(record: Record) -> list[Row]:
    """Return each probe's rate of attacks that succeeded, a share, as the catalog's security view reads it."""
    return [
        _attacked(record, scan, each) for scan in record.evaluations if scan.evaluator == SCAN for each in scan.others
    ]


def _attacked(record: Record, scan: Evaluation, rate: Metric) -> Row:
    probe, low_high = rate.name.replace("/", "."), rate.interval
    interval = f", {low_high.confidence:.0%} interval {low_high.low:.3f} to {low_high.high:.3f}" if low_high else ""
    return _dates(scan.ended) | {
        "id": f"{record.record_id}-{probe}",
        "model_id": record.selection.name,
        "evaluation": f"Resistance to {probe}",
        "benchmark": probe,
        "category": "security",
        "description": f"garak {scan.versions[SCAN]}, n = {rate.n}{interval}",
        "provider_id": f"assay-{SCAN}",
        "result_metric": ATTACKED,
        "result": float(rate.value),
        "threshold": MOST,
        "pass": rate.value <= MOST,
        "lower_is_better": True,
        "model_version": record.selection.version,
        "record_id": record.record_id,
    }


def _score(record: Record, evaluation: Evaluation) -> Row:
    score: Row = {
        "benchmark": evaluation.task,
        "score": float(evaluation.score * 100),
        "score_metric": ACCURACY if evaluation.tier == "accuracy" else f"{evaluation.metrics[0].name}_percent",
        "score_low": float(evaluation.interval.low * 100),
        "score_high": float(evaluation.interval.high * 100),
        "num_questions": int(evaluation.n),
        "model_version": record.selection.version,
        "record_id": record.record_id,
    }
    return _dates(evaluation.ended) | score | _hardware(record)


def _dates(when: datetime) -> Row:
    milliseconds = int(when.timestamp() * 1000)
    return {"created_at": milliseconds, "updated_at": milliseconds}


def _hardware(record: Record) -> Row:
    """Return the configuration and the deprecated pair: the dashboard reads one, the recommendations the other."""
    hardware = record.endpoint.hardware
    return {
        "hardware_configuration": str(hardware),
        "hardware_type": hardware.type,
        "hardware_count": math.ceil(
            hardware.count
        ),  # whole by the catalog's contract; the configuration says it exactly
    }


def _latencies(headline: Headline) -> Row | None:
    """Return the sixteen latency keys in milliseconds (tps: tokens per second), None where one is missing."""
    row: Row = {}
    measured: dict[str, Percentiles | None] = {
        "ttft": headline.ttft_ms,
        "e2e": headline.e2e_ms,
        "tps": headline.tps,
        "itl": headline.itl_ms,
    }
    for name, values in measured.items():
        if values is None:
            return None
        row |= {f"{name}_{key}": float(getattr(values, key)) for key in ("mean", "p90", "p95", "p99")}
    return row


def _real(headline: Headline, latencies: Row) -> bool:
    """Whether all numbers are finite and those that the dashboard replaces when they are zero are not."""
    tokens = headline.mean_input_tokens, headline.mean_output_tokens
    numbers = [headline.requests_per_second, *tokens, *latencies.values()]
    return all(math.isfinite(float(number)) for number in numbers) and 0 not in (
        headline.requests_per_second,
        latencies["ttft_mean"],
    )


def _circumstances(record: Record, sweep: LoadTest) -> Row:
    slo = sweep.slo
    args = {"prompt_tokens": sweep.prompt_tokens, "output_tokens": sweep.output_tokens}
    rows: Row = {
        "model_version": record.selection.version,
        "model_digest": record.selection.digest or UNKNOWN,
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
