"""Downloading a model that its source lists file by file: the model card first, then a few files at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from helpers.ingestion.inspection.licenses import CARD, inspect_license
from helpers.ingestion.metering import Meter, Refused, refused
from helpers.ingestion.policy import Policy
from helpers.ingestion.sources.plan import Sums
from helpers.ingestion.transfer import CHUNK, Opener, download

WORKERS = 4


@dataclass(frozen=True)
class Remote:
    """A file at its source, with the hashes that the source states of it: SHA-256, or git's SHA-1 of a blob."""

    name: str
    size: int
    opened: Opener
    sha256: str = ""
    blob_id: str = ""


def receive_listed(source: str, files: Sequence[Remote], policy: Policy, work: Path, model: Path) -> Sums:
    """Download the files to `model` and return their SHA-256. Raises Refused, SourceUnreachable or StoreFailed."""
    parts = work / "parts"
    parts.mkdir(exist_ok=True)
    model.mkdir(exist_ok=True)
    meter = Meter(source, policy.limits, sum(file.size for file in files))
    try:
        sums = {file.name: _receive(file, model, parts, meter) for file in files if file.name == CARD}
        if findings := [*inspect_license(model, policy)]:
            raise Refused(source, *findings)
        sums |= _rest([file for file in files if file.name != CARD], model, parts, meter)
        return dict(sorted(sums.items()))
    finally:
        meter.close()


def _rest(files: Sequence[Remote], model: Path, parts: Path, meter: Meter) -> Sums:
    def receive(file: Remote) -> str:
        try:
            return _receive(file, model, parts, meter)
        except BaseException as error:
            meter.end(error)
            raise

    with ThreadPoolExecutor(WORKERS) as threads:
        try:
            return dict(zip((file.name for file in files), threads.map(receive, files), strict=True))
        except BaseException as error:
            meter.end(error)
            raise


def _receive(file: Remote, model: Path, parts: Path, meter: Meter) -> str:
    """Download one file, a second time where it is not what its source states."""
    path, part = model / file.name, parts / hashlib.sha256(file.name.encode()).hexdigest()[:32]
    for _ in range(2):
        digest = download(file.opened, path, part, name=file.name, size=file.size, meter=meter)
        if file.sha256 in ("", digest) and (not file.blob_id or file.blob_id == _blob_id(path)):
            return digest
        path.unlink()
        meter.found(-file.size)
    problem = "has another hash than its source states"
    raise refused(meter.source, file.name, "digest", problem, "Ask the source's owner; do not use it")


def _blob_id(path: Path) -> str:
    value = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            value.update(data)
    return value.hexdigest()
