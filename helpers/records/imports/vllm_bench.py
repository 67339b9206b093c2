"""`vllm bench serve --save-result`: one load; with `--save-detailed` every request, and so every percentile."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from helpers.artifacts import LoadPoint, Percentiles
from helpers.errors import InvalidResults
from helpers.records.imports.contract import Imported
from helpers.records.imports.files import DO
from helpers.records.imports.loads import ENOUGH, load_test, percentiles, seen

TOOL = "vllm bench serve"
WITHOUT = "has no 95th percentile: run it with --save-detailed, or --metric-percentiles 50,90,95,99"


def claims(content: Any) -> bool:
    """Return whether this is one of its results."""
    return isinstance(content, dict) and {"request_throughput", "model_id", "num_prompts"} <= content.keys()


def read(path: Path, content: Mapping[str, Any], metric: str = "") -> Imported:
    """Return the load test of this one load. Raises InvalidResults where a figure is missing or requests are."""
    point = _point(path, content)
    started = datetime.strptime(content["date"], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    notes = [f"{path.name}: {WITHOUT}"] if point.ttft_ms is None and point.successful else []
    notes += [] if point.enough else [f"{path.name}: {point.successful} answers are too few for a 95th percentile"]
    found = load_test(
        path,
        seen(TOOL, point.mean_input_tokens, point.mean_output_tokens),
        [point],
        profile="constant" if point.rate else "concurrent",
        started=started - timedelta(seconds=content["duration"]),
        ended=started,
        versions={TOOL: str(content.get("vllm_version") or "unknown")},
        warnings=notes,
    )
    return Imported(model=str(content["model_id"]), place=path, measurements=(found,), notes=tuple(notes))


def _point(path: Path, content: Mapping[str, Any]) -> LoadPoint:
    answered, failed = content["completed"], content.get("failed", content["num_prompts"] - content["completed"])
    rate = float(content["request_rate"])
    streams = content.get("max_concurrency")
    times = _times(path, content) if "ttfts" in content else {}
    e2e = times.get("e2el") or content.get("latencies", [])
    enough = answered >= ENOUGH
    asked = rate if math.isfinite(rate) else None
    return LoadPoint(
        strategy=f"constant@{rate:.3g}" if asked else f"concurrent@{streams or content['num_prompts']}",
        rate=asked,
        streams=None if asked else streams or content["num_prompts"],
        concurrency=content["request_throughput"] * math.fsum(e2e) / len(e2e) if e2e else 0.0,
        duration_seconds=content["duration"],
        successful=answered,
        errored=failed,
        incomplete=0,
        requests_per_second=content["request_throughput"],
        output_tokens_per_second=content["output_throughput"],
        ttft_ms=_distribution(content, "ttft", times.get("ttft")),
        itl_ms=_distribution(content, "tpot", times.get("tpot")),
        e2e_ms=_distribution(content, "e2el", e2e),
        tps=None,
        mean_input_tokens=content["total_input_tokens"] / max(1, answered),
        mean_output_tokens=content["total_output_tokens"] / max(1, answered),
        goodput=content.get("request_goodput"),
        meets_slo=enough and failed <= 0.01 * (answered + failed),
        ended_by="requests",
        enough=enough,
    )


def _times(path: Path, content: Mapping[str, Any]) -> dict[str, list[float]]:
    """Return the answered requests' times in seconds. Raises InvalidResults where lists differ in length."""
    columns = [content[name] for name in ("ttfts", "itls", "output_lens", "errors")]
    if len({len(column) for column in columns}) > 1:
        raise InvalidResults(f"{path}: its lists of requests differ in length", do=DO)
    rows = [row for row in zip(*columns, strict=True) if not row[3]]
    return {
        "ttft": [ttft for ttft, *_ in rows],
        "tpot": [math.fsum(gaps) / (tokens - 1) for _, gaps, tokens, _ in rows if tokens > 1],
        "e2el": [ttft + math.fsum(gaps) for ttft, gaps, *_ in rows],
    }


def _distribution(content: Mapping[str, Any], name: str, seconds: Sequence[float] | None) -> Percentiles | None:
    """Return a distribution in ms from single times, or as the tool tells it; None where a percentile is missing."""
    if seconds:
        return percentiles([1000 * value for value in seconds])
    told = {share: content.get(f"{share}_{name}_ms") for share in ("p90", "p95", "p99")}
    told["p50"] = content.get(f"median_{name}_ms")
    known = {share: float(value) for share, value in told.items() if value is not None}
    return Percentiles(mean=content[f"mean_{name}_ms"], **known) if len(known) == len(told) else None
