"""Join a measured version's results with their circumstances, and decide on it."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from helpers.artifacts import AnyMeasurement, Approval, Endpoint, Evaluation, LoadTest, Parameter, Record, Selection
from helpers.artifacts.measurement import DERIVED
from helpers.datasets.criteria import Criteria, Criterion
from helpers.errors import DigestMismatch, OtherRun
from helpers.records.figures import Figure, required
from helpers.runtime import circumstances
from helpers.runtime.workspace import ROOT

# Where a thing lies or what a registry calls it does not change what was measured.
_VARIES = {
    "selection": {"uri", "registry", "registered_model_id", "model_version_id", "model_artifact_id", "reason", "run"},
    "endpoint": {"url", "tokenizer", "expires", "handle", "auth", "kv_cache_gib", "run", "server", "settings"},
}
# The same of a measurement; and what follows from its other fields.
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
    settings: dict[str, Parameter] | None = None,
) -> Record:
    """Return the record; the same measurements get the same id.

    Raises DigestMismatch where a file is about another model than the selection, OtherRun where another run wrote it.
    """
    for found in (endpoint, *measurements):
        _require_same(selection, found)
    ordered = tuple(sorted(measurements, key=lambda each: each.name))
    return Record(
        run=selection.run,
        record_id=_identify(selection, endpoint, ordered, purpose, use_case),
        purpose=purpose,
        use_case=use_case,
        use_case_files=use_case_files or {},
        selection=selection,
        endpoint=endpoint,
        measurements=ordered,
        git_commit=git_commit(),
        account=circumstances.account(),
        started_by=circumstances.started_by(),
        versions=_versions(endpoint, ordered),
        settings=settings or {},
        raw=raw or {},
    )


def _require_same(selection: Selection, found: Endpoint | AnyMeasurement) -> None:
    do = f"Run {found.written_by} and the stages after it again for the selected version"
    if found.digest != selection.digest:
        about = found.digest or "a model that it does not name"
        raise DigestMismatch(
            f"{found.file} is about {about}, selection.json ({selection.label}) about {selection.digest}", do=do
        )
    if found.run != selection.run:
        raise OtherRun(f"{found.file} is of run {found.run}, selection.json of run {selection.run}", do=do)


def _identify(
    selection: Selection, endpoint: Endpoint, measurements: Sequence[AnyMeasurement], purpose: str, use_case: str
) -> str:
    content = {
        "purpose": purpose,
        "use_case": use_case,
        "selection": selection.model_dump(mode="json", exclude=_VARIES["selection"]),
        "endpoint": endpoint.model_dump(mode="json", exclude=_VARIES["endpoint"]),
        "measurements": _measured(measurements),
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


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


def decide(record: Record, criteria: Criteria) -> Approval:
    """Return approved or rejected with a reason for each `must`; the value decides, its interval is told too.

    Without an operating point nothing is approved. Raises InvalidCriteria for a line about what nothing measures.
    """
    found = required(criteria, record)
    checks = [_must(line, found[line.name]) for line in criteria.musts]
    checks += [
        (False, f"No operating point: {each.operating_point.reason}") for each in record.load_tests if not each.headline
    ]
    passed = all(good for good, _ in checks)
    return Approval(state="approved" if passed else "rejected", reasons=tuple(reason for _, reason in checks))


def _must(line: Criterion, figure: Figure) -> tuple[bool, str]:
    assert line.must, "asked of lines with a must only"
    if figure.value is None:
        return False, f"{line.name} was not measured at an operating point, so {line.must} cannot be checked"
    good, reaches = line.must.holds(figure.value), ""
    if isinstance(figure.measurement, LoadTest):
        shown, about = f"{figure.value:.4g}", _load(figure.measurement)
    else:
        shown, about = f"{figure.value:.3f}", f"{figure.measurement.subject}, n = {figure.n}"
    if bounds := figure.interval:
        about += f", {bounds.confidence:.0%} interval {bounds.low:.3f} to {bounds.high:.3f}"
        if good and not (line.must.holds(bounds.low) and line.must.holds(bounds.high)):
            reaches = ", though the interval reaches beyond it"
    return good, f"{line.name} is {shown} ({about}) and {'meets' if good else 'misses'} {line.must}{reaches}"


def _load(load_test: LoadTest) -> str:
    headline = load_test.headline
    mean = f"mean of {headline.n} measurements " if headline and headline.n > 1 else ""
    return f"{mean}at {headline.requests_per_second:.2f} requests/s" if headline else ""
