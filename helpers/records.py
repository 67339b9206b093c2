"""Join a measured version's results with their circumstances, and decide on it."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from helpers import circumstances
from helpers.artifacts import Approval, Endpoint, Evaluation, Parameter, Record, Selection, Sweep
from helpers.errors import DigestMismatch, OtherRun
from helpers.ingestion.policy import Thresholds
from helpers.workspace import ROOT

# Where a thing lies or what a registry calls it does not change what was measured.
_VARIES = {
    "selection": {"uri", "registry", "registered_model_id", "model_version_id", "model_artifact_id", "reason", "run"},
    "endpoint": {"url", "tokenizer", "expires", "handle", "auth", "kv_cache_gib", "run", "server", "settings"},
    "sweep": {"report", "identity", "taken_from", "files", "run", "digest"},
    "evaluation": {"report", "samples", "identity", "answers_identity", "taken_from", "files", "run", "digest"},
}


def join(
    selection: Selection,
    endpoint: Endpoint,
    sweep: Sweep,
    evaluation: Evaluation,
    *,
    purpose: Literal["baseline", "use-case"],
    use_case: str,
    raw: dict[str, str] | None = None,
    settings: dict[str, Parameter] | None = None,
) -> Record:
    """Return the record; the same measurements get the same id.

    Raises DigestMismatch where a file is about another model than the selection, OtherRun where another run wrote it.
    """
    for found in (endpoint, sweep, evaluation):
        _require_same(selection, found)
    return Record(
        run=selection.run,
        record_id=_identify(selection, endpoint, sweep, evaluation, purpose, use_case),
        purpose=purpose,
        use_case=use_case,
        selection=selection,
        endpoint=endpoint,
        sweep=sweep,
        evaluation=evaluation,
        git_commit=git_commit(),
        account=circumstances.account(),
        started_by=circumstances.started_by(),
        versions=_versions(endpoint, sweep, evaluation),
        settings=settings or {},
        raw=raw or {},
    )


def _require_same(selection: Selection, found: Endpoint | Sweep | Evaluation) -> None:
    do = f"Run {found.written_by} and the stages after it again for the selected version"
    if found.digest != selection.digest:
        about = found.digest or "a model that it does not name"
        raise DigestMismatch(
            f"{found.filename} is about {about}, selection.json ({selection.label}) about {selection.digest}", do=do
        )
    if found.run != selection.run:
        raise OtherRun(f"{found.filename} is of run {found.run}, selection.json of run {selection.run}", do=do)


def _identify(
    selection: Selection, endpoint: Endpoint, sweep: Sweep, evaluation: Evaluation, purpose: str, use_case: str
) -> str:
    content = {
        "purpose": purpose,
        "use_case": use_case,
        "selection": selection.model_dump(mode="json", exclude=_VARIES["selection"]),
        "endpoint": endpoint.model_dump(mode="json", exclude=_VARIES["endpoint"]),
        **_measured(sweep, evaluation),
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _measured(sweep: Sweep, evaluation: Evaluation) -> dict[str, Any]:
    return {
        "sweep": sweep.model_dump(mode="json", exclude=_VARIES["sweep"]),
        "evaluation": evaluation.model_dump(mode="json", exclude=_VARIES["evaluation"]),
    }


def same_results(one: Record, other: Record) -> bool:
    """Return whether both records hold the same two measurements, wherever these were taken over from."""
    return _measured(one.sweep, one.evaluation) == _measured(other.sweep, other.evaluation)


def git_commit() -> str:
    """Return ASSAY_GIT_COMMIT, or this checkout's commit, or "unknown" (an image has no checkout)."""
    if commit := os.environ.get("ASSAY_GIT_COMMIT"):
        return commit
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def _versions(endpoint: Endpoint, sweep: Sweep, evaluation: Evaluation) -> dict[str, str]:
    own = {"python": platform.python_version(), endpoint.engine: endpoint.engine_version}
    try:
        own["assay-helpers"] = version("assay-helpers")
    except PackageNotFoundError:
        own["assay-helpers"] = "source"
    return dict(sorted((sweep.versions | evaluation.versions | own).items()))


def summary(record: Record) -> dict[str, Parameter]:
    """Return the record as flat properties for the registry; what was not measured is left out."""
    return {
        key: value
        for key, value in _properties(record)
        if value is not None and not (isinstance(value, float) and not math.isfinite(value))
    }


def _properties(record: Record) -> Iterator[tuple[str, Parameter | None]]:
    evaluation, point = record.evaluation, record.sweep.chosen
    yield "record_id", record.record_id
    yield "purpose", record.purpose
    yield "use_case", record.use_case
    yield "task", evaluation.task
    yield "accuracy", evaluation.score
    yield "accuracy_low", evaluation.interval.low
    yield "accuracy_high", evaluation.interval.high
    yield "accuracy_n", evaluation.n
    yield "dataset_digest", evaluation.dataset_digest
    yield "workload", record.sweep.workload
    yield "operating_point", record.sweep.operating_point.reason
    if point:
        yield "requests_per_second", point.requests_per_second
        yield "output_tokens_per_second", point.output_tokens_per_second
        yield "ttft_p95_ms", point.ttft_ms.p95 if point.ttft_ms else None
        yield "itl_p95_ms", point.itl_ms.p95 if point.itl_ms else None
        yield "e2e_p95_ms", point.e2e_ms.p95 if point.e2e_ms else None
    hardware = record.endpoint.hardware
    yield "hardware", f"{hardware.count} x {hardware.type}"
    yield "engine", f"{record.endpoint.engine} {record.endpoint.engine_version}"
    yield "startup_seconds", record.endpoint.startup_seconds
    yield "git_commit", record.git_commit
    yield "account", record.account or None
    yield "started_by", record.started_by or None
    yield "sweep_identity", record.sweep.identity or None
    yield "evaluation_identity", evaluation.identity or None
    yield "answers_identity", evaluation.answers_identity or None
    yield "ended", max(record.sweep.ended, evaluation.ended).isoformat(timespec="seconds")


def decide(record: Record, thresholds: Thresholds) -> Approval:
    """Return approved or rejected with a reason for each threshold; the score decides, its interval is told too."""
    checks = [_accuracy(record, thresholds.min_accuracy), *_speed(record, thresholds.max_ttft_p95_ms)]
    passed = all(good for good, _ in checks)
    return Approval(state="approved" if passed else "rejected", reasons=tuple(reason for _, reason in checks))


def _accuracy(record: Record, least: float | None) -> tuple[bool, str]:
    evaluation = record.evaluation
    interval = evaluation.interval
    bounds = f"{interval.confidence:.0%} interval {interval.low:.3f} to {interval.high:.3f}"
    measured = f"the score {evaluation.score:.3f} on {evaluation.task} ({bounds}, n = {evaluation.n})"
    if least is None:
        return True, f"No minimum is set for {measured}"
    good = evaluation.score >= least
    sure = "" if evaluation.interval.low >= least or not good else ", though the interval reaches below it"
    return good, f"{measured[0].upper()}{measured[1:]} {'meets' if good else 'is below'} the minimum of {least:g}{sure}"


def _speed(record: Record, most: float | None) -> Iterator[tuple[bool, str]]:
    point, found = record.sweep.chosen, record.sweep.operating_point
    if point is None:
        yield False, f"No operating point: {found.reason}"
    elif most is not None and point.ttft_ms is None:
        yield False, f"TTFT was not measured at the operating point, so the limit of {most:g} ms cannot be checked"
    elif most is not None and point.ttft_ms is not None:
        good = point.ttft_ms.p95 <= most
        at = f"at {point.requests_per_second:.2f} requests/s"
        where = "within" if good else "above"
        yield good, f"TTFT p95 {point.ttft_ms.p95:.1f} ms {at} is {where} the limit of {most:g} ms"
    else:
        yield True, f"An operating point was found: {found.reason}"
