"""Write a record in the formats that the OpenShift AI model catalog reads.

metadata.json and the three .ndjson files are the files of its loader (one folder for each model),
catalog.yaml is its YAML source with the same records as metrics artifacts.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from helpers.artifacts import Record, write_atomic
from helpers.records.catalog.rows import ACCURACY, Row, evaluation_rows, performance_rows, security_rows
from helpers.records.catalog.tools import tool_calling

__all__ = ["evaluation_rows", "metadata", "pack_catalog", "performance_rows", "security_rows", "write_catalog"]

FILES = ("metadata.json", "performance.ndjson", "evaluations.ndjson", "security-evaluations.ndjson", "catalog.yaml")
_DATES = ("created_at", "updated_at")


def write_catalog(record: Record, folder: Path) -> list[Path]:
    """Write the record's files into the model's `folder` and return them; this model's other records in there stay.

    Writing the same record again changes nothing. Raises StoreFailed when the disk refuses.
    """
    if _model_in(folder) != record.selection.name:
        for name in FILES:
            (folder / name).unlink(missing_ok=True)
    performance = _merged(folder / "performance.ndjson", performance_rows(record), "config_id")
    # The loader keeps one score for a benchmark, the last.
    evaluations = _merged(folder / "evaluations.ndjson", evaluation_rows(record), "benchmark")
    security = _merged(folder / "security-evaluations.ndjson", security_rows(record), "benchmark")
    written = {
        "metadata.json": json.dumps(metadata(record, evaluations), indent=2, ensure_ascii=False) + "\n",
        "performance.ndjson": _lines(performance),
        "evaluations.ndjson": _lines(evaluations),
        "security-evaluations.ndjson": _lines(security),
        "catalog.yaml": yaml.safe_dump(
            _source(record, performance, evaluations, security), sort_keys=False, allow_unicode=True
        ),
    }
    return [write_atomic(folder / name, text.encode()) for name, text in written.items() if text]


def pack_catalog(folder: Path) -> Path:
    """Write the catalog's files in `folder` into one archive beside it, and return the archive.

    A pipeline's node hands on single files with fixed names. The same files make the same bytes.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(name for name in FILES if (folder / name).exists()):
            entry = zipfile.ZipInfo(f"{folder.name}/{name}")  # dated 1980, whenever it is packed
            archive.writestr(entry, (folder / name).read_bytes(), zipfile.ZIP_DEFLATED)
    return write_atomic(folder.with_suffix(".zip"), buffer.getvalue())


def metadata(record: Record, evaluations: Iterable[Row]) -> dict[str, str | float]:
    """Return what the catalog keeps of the model; `overall_accuracy` is the mean over its accuracy benchmarks."""
    scores = [float(row["score"]) for row in evaluations if row["score_metric"] == ACCURACY]
    about: dict[str, str | float] = {"id": record.selection.name}
    if scores:
        about["overall_accuracy"] = math.fsum(scores) / len(scores)
    if record.selection.parameters:
        about["size"] = f"{_short(record.selection.parameters)} params"
    return about


def _short(count: int) -> str:
    for unit, name in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= unit:
            return f"{count / unit:.1f}".removesuffix(".0") + name
    return str(count)


def _model_in(folder: Path) -> str | None:
    file = folder / "metadata.json"
    return json.loads(file.read_text("utf-8"))["id"] if file.exists() else None


def _merged(path: Path, rows: list[Row], key: str) -> list[Row]:
    """Return the rows that are in the file already, those of the same key replaced."""
    old = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    new = {row[key] for row in rows}
    return [row for row in old if row[key] not in new] + rows


def _lines(rows: Iterable[Row]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)


def _source(record: Record, performance: list[Row], evaluations: list[Row], security: list[Row]) -> dict[str, Any]:
    """Return the YAML source: the `validated` label makes the performance view appear, so approval alone sets it."""
    model: dict[str, Any] = {"name": record.selection.name}
    if record.selection.license != "unknown":
        model["license"] = record.selection.license
    if record.approval and record.approval.state == "approved":
        model["customProperties"] = {"validated": _value("")}
    model |= tool_calling(record)
    model["artifacts"] = [
        *(_artifact("performance-metrics", row) for row in performance),
        *(_artifact("accuracy-metrics", row) for row in evaluations),
        *(_artifact("security-metrics", row) for row in security),
    ]
    return {"source": "Assay", "models": [model]}


def _artifact(kind: str, row: Row) -> dict[str, Any]:
    return {
        "artifactType": "metrics-artifact",
        "metricsType": kind,
        "createTimeSinceEpoch": str(row["created_at"]),
        "lastUpdateTimeSinceEpoch": str(row["updated_at"]),
        "customProperties": {key: _value(value) for key, value in row.items() if key not in _DATES},
    }


def _value(value: str | int | float) -> dict[str, str | float]:
    if isinstance(value, bool):
        return {"bool_value": value, "metadataType": "MetadataBoolValue"}
    if isinstance(value, str):
        return {"string_value": value, "metadataType": "MetadataStringValue"}
    if isinstance(value, int):
        return {"int_value": str(value), "metadataType": "MetadataIntValue"}
    return {"double_value": value, "metadataType": "MetadataDoubleValue"}
