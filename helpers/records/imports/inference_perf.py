"""inference-perf's lifecycle reports: one load a stage; its summary counts only where no stage was reported."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from helpers.artifacts import LoadPoint, Percentiles
from helpers.errors import InvalidResults
from helpers.records.imports.contract import Imported
from helpers.records.imports.loads import ENOUGH, Workload, load_test, seen

TOOL = "inference-perf"
CONFIG = "config.yaml"
SHARES = {"p50": "median", "p90": "p90", "p95": "p95", "p99": "p99"}


def claims(content: Any) -> bool:
    """Return whether this is a report of a stage, or of all of them, and not what Prometheus saw of it."""
    whole = isinstance(content, dict) and {"load_summary", "successes", "failures"} <= content.keys()
    return whole and bool(content["load_summary"])


def read(path: Path, content: Mapping[str, Any], metric: str = "") -> Imported:
    """Return the load test of this one load, no measurement of a summary whose stages lie beside it.

    Raises InvalidResults where a figure is missing, or a summary holds several loads.
    """
    asked = _configured(path.with_name(CONFIG))
    model = str((asked.get("server") or {}).get("model_name") or path.parent.name)
    if path.name.startswith("summary") and any(path.parent.glob("stage_*.json")):
        return Imported(model=model, place=path, measurements=())
    point = _point(path, content)
    ended = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    notes = [] if point.enough else [f"{path.name}: {point.successful} answers are too few for a 95th percentile"]
    found = load_test(
        path,
        _workload(asked, point),
        [point],
        profile="constant",
        started=ended - timedelta(seconds=point.duration_seconds),
        ended=ended,
        versions={TOOL: "unknown"},
        warnings=notes,
    )
    return Imported(model=model, place=path, measurements=(found,), notes=tuple(notes))


def _configured(path: Path) -> dict[str, Any]:
    """Return the configuration that the tool left beside its reports, {} without one."""
    import yaml

    try:
        found = yaml.safe_load(path.read_bytes())
    except (OSError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _workload(asked: Mapping[str, Any], point: LoadPoint) -> Workload:
    data = asked.get("data") or {}
    if not data:
        return seen(TOOL, point.mean_input_tokens, point.mean_output_tokens)
    ways = [(data.get(f"{way}_distribution") or {}).get("mean") for way in ("input", "output")]
    name = f"{TOOL}, {data.get('type', 'unknown data')}"
    return Workload(name, int(ways[0]) if ways[0] else None, int(ways[1] or 0))


def _point(path: Path, content: Mapping[str, Any]) -> LoadPoint:
    summary, good, failed = content["load_summary"], content["successes"], content["failures"]["count"]
    rate, answered, latency = summary.get("requested_rate"), good["count"], good["latency"] or {}
    if not rate:
        raise InvalidResults(f"{path}: holds all loads together", do="Give the reports of the stages beside it")
    if not answered:
        raise InvalidResults(f"{path}: none of its {failed} requests was answered", do="Measure a server that answers")
    rates = good["throughput"]
    enough = answered >= ENOUGH
    e2e = _milliseconds(latency.get("request_latency"))
    return LoadPoint(
        strategy=f"constant@{rate:.3g}",
        rate=rate,
        concurrency=rates["requests_per_sec"] * e2e.mean / 1000 if e2e else 0.0,
        # Older versions tell it by the throughput alone.
        duration_seconds=content.get("benchmark_time_seconds") or answered / rates["requests_per_sec"],
        successful=answered,
        errored=failed,
        incomplete=0,
        requests_per_second=rates["requests_per_sec"],
        output_tokens_per_second=rates["output_tokens_per_sec"],
        ttft_ms=_milliseconds(latency.get("time_to_first_token")),
        itl_ms=_milliseconds(latency.get("time_per_output_token")),
        e2e_ms=e2e,
        tps=None,
        mean_input_tokens=rates["input_tokens_per_sec"] / rates["requests_per_sec"],
        mean_output_tokens=(good.get("output_tokens") or good["output_len"])["mean"],
        meets_slo=enough and failed <= 0.01 * (answered + failed),
        enough=enough,
        limited_by_load_generator=summary["achieved_rate"] < 0.9 * rate,
    )


def _milliseconds(seconds: Mapping[str, float] | None) -> Percentiles | None:
    if not seconds:
        return None
    return Percentiles(mean=1000 * seconds["mean"], **{name: 1000 * seconds[key] for name, key in SHARES.items()})
