"""Join a measured version's results with their circumstances."""

from __future__ import annotations

import math
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from helpers.artifacts import AnyMeasurement, Endpoint, Evaluation, LoadTest, Parameter, Record, Selection
from helpers.artifacts.measurement import DERIVED
from helpers.errors import DigestMismatch, OtherRun
from helpers.runtime import circumstances
from helpers.runtime.workspace import ROOT

# Of a measurement: where it lies and what it is called there do not change what was measured; nor what follows from it.
_ASIDE = {
    *("run", "digest", "report", "repeats_report", "samples", "files", "identity", "answers_identity", "taken_from"),
    *DERIVED,
}


def join(
    selection: Selection,
    endpoint: Endpoint,
    measurements: Sequence[AnyMeasurement],
    *,
    purpose: Literal["baseline", "use-case"],
    use_case: str,
    use_case_files: dict[str, str] | None = None,
    raw: dict[str, str] | None = None,
    raw_digests: dict[str, str] | None = None,
    settings: dict[str, Parameter] | None = None,
    parent: str = "",
    trigger: str = "",
) -> Record:
    """Return the record; the same content gets the same id. `parent` is the digest of what it was tuned from.

    Raises DigestMismatch where a file is about another model than the selection, OtherRun where another run wrote it.
    """
    for found in (endpoint, *measurements):
        _require_same(selection, found)
    ordered = tuple(sorted(measurements, key=lambda each: each.name))
    return Record(
        run=selection.run,
        record_id="0" * 16,
        purpose=purpose,
        use_case=use_case,
        use_case_files=use_case_files or {},
        selection=selection,
        endpoint=endpoint,
        measurements=ordered,
        git_commit=git_commit(),
        account=circumstances.account(),
        started_by=circumstances.started_by(),
        trigger=trigger,
        versions=_versions(endpoint, ordered),
        settings=settings or {},
        raw=raw or {},
        raw_digests=raw_digests or {},
        parent=parent,
    ).sealed()


def _require_same(selection: Selection, found: Endpoint | AnyMeasurement) -> None:
    do = f"Run {found.written_by} and the stages after it again for the selected version"
    if found.digest != selection.digest:
        about = found.digest or "a model that it does not name"
        raise DigestMismatch(
            f"{found.file} is about {about}, selection.json ({selection.label}) about {selection.digest}", do=do
        )
    if found.run != selection.run:
        raise OtherRun(f"{found.file} is of run {found.run}, selection.json of run {selection.run}", do=do)


def _measured(measurements: Sequence[AnyMeasurement]) -> list[dict[str, Any]]:
    return [each.model_dump(mode="json", exclude=_ASIDE) for each in measurements]


def same_results(one: Record, other: Record) -> bool:
    """Return whether both records hold the same measurements, wherever these were taken over from."""
    return _measured(one.measurements) == _measured(other.measurements)


def git_commit() -> str:
    """Return ASSAY_GIT_COMMIT, or this checkout's commit, or "unknown" (an image has no checkout)."""
    if commit := os.environ.get("ASSAY_GIT_COMMIT"):
        return commit
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def _versions(endpoint: Endpoint, measurements: Sequence[AnyMeasurement]) -> dict[str, str]:
    own = {"python": platform.python_version(), endpoint.engine: endpoint.engine_version}
    try:
        own["assay-helpers"] = version("assay-helpers")
    except PackageNotFoundError:
        own["assay-helpers"] = "source"
    tools = {name: found for each in measurements for name, found in each.versions.items()}
    return dict(sorted((tools | own).items()))


def summary(record: Record) -> dict[str, Parameter]:
    """Return the record's circumstances as flat properties for the registry; what is not known is left out."""
    endpoint = record.endpoint
    return _known(
        {
            "record_id": record.record_id,
            "digest": record.digest or None,
            "purpose": record.purpose,
            "use_case": record.use_case,
            "measurements": ",".join(each.name for each in record.measurements),
            "unverified": record.unverified or None,
            "hardware": str(endpoint.hardware),
            "digest_verified": endpoint.digest_verified,
            "engine": f"{endpoint.engine} {endpoint.engine_version}",
            "startup_seconds": endpoint.startup_seconds,
            "git_commit": record.git_commit,
            "account": record.account or None,
            "started_by": record.started_by or None,
            "trigger": record.trigger or None,
            "ended": record.ended.isoformat(timespec="seconds"),
        }
    )


def summaries(record: Record) -> dict[str, dict[str, Parameter]]:
    """Return each measurement as flat properties for the registry, by name; what was not measured is left out."""
    return {each.name: _known(dict(_properties(record, each))) for each in record.measurements}


def _known(properties: Mapping[str, Parameter | None]) -> dict[str, Parameter]:
    return {
        key: value
        for key, value in properties.items()
        if value is not None and not (isinstance(value, float) and not math.isfinite(value))
    }


def _properties(record: Record, measurement: AnyMeasurement) -> Iterator[tuple[str, Parameter | None]]:
    yield "kind", measurement.kind
    yield "tier", measurement.tier
    yield "subject", measurement.subject
    yield "n", measurement.failures.answered
    for metric in measurement.metrics:
        yield metric.name, metric.value
        if metric.interval:
            yield f"{metric.name}_low", metric.interval.low
            yield f"{metric.name}_high", metric.interval.high
    yield "partial", measurement.partial or None
    yield "unverified", record.unverified or None
    yield "hardware", str(record.endpoint.hardware)
    yield "dataset_digest", measurement.dataset_digest
    yield "identity", measurement.identity or None
    yield "ended", measurement.ended.isoformat(timespec="seconds")
    if isinstance(measurement, Evaluation):
        yield "metric", measurement.metrics[0].name
        yield "chance", measurement.chance
        yield "api", measurement.api
        yield "num_fewshot", measurement.num_fewshot
        yield "answers_identity", measurement.answers_identity or None
    if isinstance(measurement, LoadTest):
        yield "operating_point", measurement.operating_point.reason
