"""An imported model as a record, in memory only: comparison, gate and report read records and nothing else."""

from __future__ import annotations

import re

from helpers.artifacts import Endpoint, Hardware, Record, Selection
from helpers.artifacts.deployment import UNKNOWN
from helpers.records.imports.contract import Imported

HEADING = "imported"
UNSAFE = re.compile(r"[^\w .:/@+~()-]")
NO_START = re.compile(r"^[^@\w]+")
LONGEST = 150


def record_name(model: str) -> str:
    """Return a model's name as a record may hold it; of a long path the end stays."""
    parts = (part for part in UNSAFE.sub("-", model).split("/") if part not in ("", ".", ".."))
    return NO_START.sub("", "/".join(parts)[-LONGEST:]).rstrip("/. ") or HEADING


def as_record(found: Imported, *, marked: bool = False) -> Record:
    """Return the record; nothing in it was verified, and its place stands where a served model has its address.

    Beside measured versions it is `marked` as imported and as what nobody verified.
    """
    started = min(each.started for each in found.measurements)
    return Record(
        record_id="0" * 16,
        purpose="use-case",
        use_case=HEADING,
        selection=Selection(
            name=record_name(found.model),
            version=HEADING,
            uri=f"{HEADING}:{found.place}",
            digest="",
            size_bytes=0,
            registry="",
            registered_model_id="",
            model_version_id="",
            model_artifact_id="",
        ),
        endpoint=Endpoint(
            target="existing" if marked else "imported",
            url="",
            model=found.model,
            tokenizer="",
            max_model_len=1,
            engine=UNKNOWN,
            engine_version=UNKNOWN,
            hardware=found.hardware or Hardware(type=UNKNOWN, count=1),
            digest="",
            digest_verified=False,
            started=started,
        ),
        measurements=found.measurements,
        git_commit="",
        versions={name: version for each in found.measurements for name, version in each.versions.items()},
        settings={},
        raw={},
    ).sealed()
