"""What belongs to a version outside the registry: its files and records in the store, which can be taken away."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

from helpers import storage
from helpers.artifacts import now
from helpers.errors import AssayError, InvalidInput, NotFound
from helpers.registry import AttachedRecord, Registry, Version
from helpers.registry.history import RETIRED
from helpers.runtime import processes, runs


def readable(size: float) -> str:
    """Return a number of bytes as people say it."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def version_line(version: Version) -> str:
    """Return name, version and approval."""
    approval = str(version.properties.get("approval", "unknown"))
    state = "archived" if version.archived and approval != RETIRED else approval
    return f"{version.name} {version.version}  {state}"


def record_line(record: AttachedRecord) -> str:
    """Return id, version, purpose and use case, and who withdrew the record."""
    told = f"  withdrawn by {record.withdrawal.by}: {record.withdrawal.reason}" if record.withdrawal else ""
    asked = f"{record.summary.get('purpose')} {record.summary.get('use_case')}"
    return f"{record.record_id}  {record.name} {record.version}  {asked}{told}"


def run_line(folder: Path, run: runs.Run | None) -> str:
    """Return name, state and size."""
    standing = run.standing if run else "no run.json"
    where = f" in {run.stage}" if run and run.stage and standing in ("failed", "interrupted") else ""
    return f"{folder.name}  {standing}{where}  {readable(runs.size(folder))}"


def server_line(server: processes.Running) -> str:
    """Return what is served where, for how long and until when."""
    age = (now() - server.started).total_seconds() / 60
    until = f"  until {server.expires:%Y-%m-%d %H:%M} UTC" if server.expires else ""
    return f"{server.handle}  {server.label or 'unknown model'}  {server.url}  {age:.0f} min old{until}"


def servers() -> list[processes.Running]:
    """Return the models' servers that run on this machine."""
    return [running for running in processes.all_running() if running.expires]


@dataclass(frozen=True)
class Part:
    """A folder in a store: what it is, its size in bytes (None where unknown), and why it stays, if it does."""

    what: str
    uri: str
    size: int | None
    stays: str = ""

    @property
    def line(self) -> str:
        """The part in one line."""
        size = "?" if self.size is None else f"{self.size:,} bytes"
        return f"{self.what}, {size}: {self.uri}" + (f" (stays: {self.stays})" if self.stays else "")


def parts(registry: Registry, gone: Sequence[Version]) -> list[Part]:
    """Return what these versions have in the store: each one's files, unless a version in use has the same."""
    ids = {version.model_version_id for version in gone}
    used = [each for each in registry.versions() if not each.archived and each.model_version_id not in ids]
    others = {_uri(registry, version) for version in used}
    found: dict[str, Part] = {}
    for version in gone:
        if uri := _uri(registry, version):
            stays = "a version in use has the same files" if uri in others else ""
            found[uri] = _part(f"files of {version.name} {version.version}", uri, stays)
    for record in registry.records(also_withdrawn=True):
        if record.model_version_id in ids:
            uri = record.uri.rpartition("/")[0]
            found[uri] = _part(f"record {record.record_id}", uri)
    return list(found.values())


def _uri(registry: Registry, version: Version) -> str:
    try:
        selection = registry.selection(version)
    except InvalidInput:  # another tool's, which says too little
        return ""
    return selection.uri if selection else ""


def _part(what: str, uri: str, stays: str = "") -> Part:
    if (scheme := urlparse(uri).scheme) not in ("file", "s3"):
        return Part(what, uri, None, stays or f"what lies under {scheme}:// is deleted there")
    try:
        sizes = storage.sizes(uri)
    except NotFound:
        return Part(what, uri, 0, "it is not there")
    except AssayError as error:
        return Part(what, uri, None, error.what)
    return Part(what, uri, sum(sizes.values()), stays)


def take_away(part: Part) -> None:
    """Delete a part's files. Raises StoreFailed or StoreUnreachable."""
    if part.stays:
        return
    for name in storage.listing(part.uri):
        storage.delete(f"{part.uri}/{name}")
    if folder := storage.local_path(part.uri):
        shutil.rmtree(folder, ignore_errors=True)


def bring(uri: str, folder: Path) -> Iterator[Path]:
    """Copy what lies under `uri` into `folder`, and yield each file. Raises NotFound, StoreFailed, StoreUnreachable."""
    for name in storage.listing(uri):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for piece in storage.stream(f"{uri}/{name}"):
                file.write(piece)
        yield path


def of_record(registry: Registry, record_id: str) -> AttachedRecord | None:
    """Return a record by its id, withdrawn or not."""
    found = [record for record in registry.records(also_withdrawn=True) if record.record_id == record_id]
    return found[0] if found else None
