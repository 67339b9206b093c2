"""GuideLLM's report (JSON, as 0.4 to 0.8 write it): a load for each strategy."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from helpers.artifacts import SLO
from helpers.errors import InvalidResults
from helpers.load_test.report import read_report
from helpers.records.imports.contract import Imported
from helpers.records.imports.files import DO
from helpers.records.imports.loads import ENOUGH, Workload, load_test

TOOL = "guidellm"
SYNTHETIC = "synthetic_text"


def claims(content: Any) -> bool:
    """Return whether this is GuideLLM's report."""
    return (
        isinstance(content, dict)
        and isinstance(content.get("benchmarks"), list)
        and TOOL in str(content.get("metadata", {}))
    )


def read(path: Path, content: Mapping[str, Any], metric: str = "") -> Imported:
    """Return the load test. Raises InvalidResults where the report holds no load, or another version's."""
    try:
        points, warnings = read_report(path, SLO(), least=ENOUGH)
        times = [(each["start_time"], each["end_time"]) for each in content["benchmarks"]]
        spec = content["config"]["spec"] if "config" in content else content["args"]
        model, workload, profile = _asked(spec)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        what = f"{path}: is a report of GuideLLM whose form is not known ({error!r})"
        raise InvalidResults(what, do="Measure with GuideLLM 0.4 to 0.8") from error
    if not points:
        raise InvalidResults(f"{path}: holds no load", do=DO)
    found = load_test(
        path,
        workload,
        points,
        profile=profile,
        started=datetime.fromtimestamp(min(start for start, _ in times), UTC),
        ended=datetime.fromtimestamp(max(end for _, end in times), UTC),
        versions={TOOL: str(content["metadata"].get("guidellm_version", "unknown"))},
        warnings=warnings,
    )
    return Imported(model=model or path.stem, place=path, measurements=(found,), notes=found.warnings)


def _asked(spec: Mapping[str, Any]) -> tuple[str, Workload, str]:
    """Return model, workload and profile, as 0.8 writes them and as versions before did."""
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
