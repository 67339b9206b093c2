"""What MLflow is told of a record, in the form and within the bounds that it takes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from helpers.artifacts import Record

KEYS = re.compile(r"[^\w\-. :/]", re.ASCII)  # what a key of MLflow may not hold
LONGEST_KEY, LONGEST_VALUE, LONGEST_DIGEST = 250, 500, 36
RECORD = "assay.record"
Json = dict[str, Any]


def key(*parts: str) -> str:
    """Return a key that MLflow takes: a group and a name in it."""
    return KEYS.sub("_", "/".join(parts))[:LONGEST_KEY]


def tags(record: Record) -> dict[str, str]:
    """Return by what a run is found, the record's id first; the registry stays the place where a model is looked up."""
    selection = record.selection
    return {
        RECORD: record.record_id,
        "assay.record_digest": record.digest,
        "assay.model": selection.name,
        "assay.version": selection.version,
        "assay.model_digest": selection.digest,
        "assay.purpose": record.purpose,
        "assay.use_case": record.use_case,
        "assay.registry": selection.registry,
        "assay.approval": record.approval.state if record.approval else "",
        "mlflow.user": record.account,
    }


def parameters(record: Record) -> dict[str, str]:
    """Return under which circumstances it was measured: chosen, because settings are numbers too and no results."""
    endpoint = record.endpoint
    found = {
        "engine": f"{endpoint.engine} {endpoint.engine_version}",
        "engine_args": " ".join(endpoint.engine_args),
        "hardware": str(endpoint.hardware),
        "files_verified": endpoint.digest_verified,
        "git_commit": record.git_commit,
    }
    for each in record.measurements:
        about = {"tier": each.tier, "asked": each.subject, "data_digest": each.dataset_digest, "partial": each.partial}
        found |= {key(each.name, name): value for name, value in about.items() if value}
    return {name: str(value)[:LONGEST_VALUE] for name, value in found.items() if value != ""}


def metrics(record: Record) -> list[Json]:
    """Return each figure of each measurement, its bounds as `_ci_low` and `_ci_high`, and its n."""
    found: dict[str, float] = {}
    for name, value in _figures(record):
        found[_free(name, found)] = value
    at = int(record.ended.timestamp() * 1000)
    return [{"key": name, "value": value, "timestamp": at, "step": 0} for name, value in found.items()]


def _figures(record: Record) -> Iterator[tuple[str, float]]:
    for each in record.measurements:
        for metric in each.metrics:
            yield key(each.name, metric.name), metric.value
            yield key(each.name, f"{metric.name}_n"), metric.n
            if metric.interval:
                yield key(each.name, f"{metric.name}_ci_low"), metric.interval.low
                yield key(each.name, f"{metric.name}_ci_high"), metric.interval.high
        counts = each.failures.model_dump()
        yield from ((key(each.name, f"questions_{name}"), count) for name, count in counts.items())


def _free(name: str, taken: dict[str, float]) -> str:
    """Return the key, numbered where another figure's became the same."""
    number, wanted = 1, name
    while name in taken:
        number += 1
        name = f"{wanted[: LONGEST_KEY - 4]}_{number}"
    return name


def datasets(record: Record) -> list[Json]:
    """Return the data of each measurement; a digest is cut to what MLflow holds and stands whole in the source."""
    found = {}
    for each in record.measurements:
        if each.dataset_digest:
            source = {"use_case": record.use_case, "asked": each.subject, "digest": each.dataset_digest}
            told = {
                "name": each.subject[:LONGEST_VALUE],
                "digest": each.dataset_digest.removeprefix("sha256:")[:LONGEST_DIGEST],
                "source_type": "assay",
                "source": json.dumps(source),
                "profile": json.dumps({"asked": each.failures.asked}),
            }
            found[each.subject, each.dataset_digest] = told
    context = [{"key": "mlflow.data.context", "value": "evaluation"}]
    return [{"dataset": told, "tags": context} for told in found.values()]
