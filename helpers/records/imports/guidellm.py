"""GuideLLM's report (JSON, as 0.3 to 0.8 write it): a load for each strategy."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from helpers.artifacts import SLO
from helpers.errors import InvalidResults
from helpers.load_test.report import read_benchmarks
from helpers.records.imports.contract import Imported
from helpers.records.imports.files import DO
from helpers.records.imports.loads import ENOUGH, Workload, load_test

TOOL = "guidellm"
SYNTHETIC = "synthetic_text"


def claims(content: Any) -> bool:
    """Return whether this is GuideLLM's report."""
    found = content.get("benchmarks") if isinstance(content, dict) else None
    if not isinstance(found, list):
        return False
    return TOOL in str(content.get("metadata", "")) or any(_is_first_form(each) for each in found)


def read(path: Path, content: Mapping[str, Any], metric: str = "") -> Imported:
    """Return the load test. Raises InvalidResults where the report holds no load, or another version's."""
    try:
        benchmarks = [_in_one_form(each) for each in content["benchmarks"]]
        points, warnings = read_benchmarks(benchmarks, SLO(), least=ENOUGH)
        times = [(each["start_time"], each["end_time"]) for each in benchmarks]
        model, workload, profile = _asked(content) if benchmarks else ("", Workload(""), "")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        what = f"{path}: is a report of GuideLLM whose form is not known ({error!r})"
        raise InvalidResults(what, do="Measure with GuideLLM 0.3 to 0.8") from error
    if not points:
        raise InvalidResults(f"{path}: holds no load", do=DO)
    found = load_test(
        path,
        workload,
        points,
        profile=profile,
        started=datetime.fromtimestamp(min(start for start, _ in times), UTC),
        ended=datetime.fromtimestamp(max(end for _, end in times), UTC),
        versions={TOOL: str(content.get("metadata", {}).get("guidellm_version", "0.3"))},
        warnings=warnings,
    )
    return Imported(model=model or path.stem, place=path, measurements=(found,), notes=found.warnings)


def _is_first_form(benchmark: Any) -> bool:
    """Return whether a benchmark is as 0.3 wrote it, which told no version and the data with each load."""
    return isinstance(benchmark, dict) and {"run_stats", "request_loader"} <= benchmark.keys()


def _in_one_form(benchmark: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a benchmark as later versions write it."""
    if not _is_first_form(benchmark):
        return benchmark
    return {
        **benchmark,
        "config": {"strategy": benchmark["args"]["strategy"]},
        "metrics": benchmark["metrics"] | {"request_totals": benchmark["request_totals"]},
        "scheduler_state": {"end_queuing_constraints": {}},
    }


def _asked(content: Mapping[str, Any]) -> tuple[str, Workload, str]:
    """Return model, workload and profile, as 0.8 writes them and as versions before did."""
    first = content["benchmarks"][0]
    if _is_first_form(first):
        profile, sent = first["args"]["profile"], first["request_loader"]["data"]
        return str(first["worker"]["backend_model"]), _workload(sent), str(profile["strategy_type"])
    return _specified(content["config"]["spec"] if "config" in content else content["args"])


def _specified(spec: Mapping[str, Any]) -> tuple[str, Workload, str]:
    backend, profile, data = spec["backend"], spec["profile"], spec["data"]
    named = backend.get("model") if isinstance(backend, dict) else spec.get("model")
    kind = profile.get("kind") if isinstance(profile, dict) else profile
    first = data[0] if isinstance(data, list) and data else data
    return str(named or ""), _workload(first), str(kind)


def _workload(data: Any) -> Workload:
    if isinstance(data, str) and "prompt_tokens=" in data:
        data = dict(part.strip().split("=", 1) for part in data.split(","))
    if isinstance(data, dict) and data.get("prompt_tokens"):
        return Workload(SYNTHETIC, int(data["prompt_tokens"]), int(data.get("output_tokens") or 0))
    if isinstance(data, dict):
        data = data.get("path") or data.get("source") or data.get("kind")
    return Workload(Path(str(data)).name)
