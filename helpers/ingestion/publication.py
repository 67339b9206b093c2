"""A model's way in: inspect, hash, copy to the store, register as candidate with its provenance."""

from __future__ import annotations

from getpass import getuser
from pathlib import Path

from pydantic import Field

from helpers import parameters, storage
from helpers.artifacts import Selection, now
from helpers.errors import InvalidInput, InvalidParameter
from helpers.ingestion.digests import MANIFEST, digest, manifest, model_card, parameter_count, size_bytes
from helpers.ingestion.inspection import admit
from helpers.registry import Registry
from helpers.workspace import home

SAMPLE = "sample://"
SAFE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"


class Settings(parameters.Settings):
    """Which folder comes in, and under which name and version."""

    source: str = Field(min_length=1, description="folder with the model's files, or sample://name")
    model_name: str = Field(default="", pattern=rf"^$|{SAFE_NAME}", description="the folder's name where empty")
    model_version: str = Field(default="1.0.0", pattern=SAFE_NAME)
    store: str = Field(default="local", description="local, file:///folder or s3://bucket/prefix")

    @property
    def folder(self) -> Path:
        """The folder that the source names."""
        if self.source.startswith(SAMPLE):
            return home() / "samples" / self.source.removeprefix(SAMPLE)
        if "://" in self.source:
            raise InvalidParameter(
                f"Parameter SOURCE is {self.source!r}, which is no folder", do="Give it a local folder"
            )
        return Path(self.source)

    @property
    def name(self) -> str:
        """The name in the registry."""
        return self.model_name or self.folder.name


def ingest(settings: Settings, registry: Registry) -> Selection:
    """Admit, publish and register the folder as a candidate; the same content again changes nothing.

    Raises RefusedModel with every finding, NotFound, InvalidInput where the version exists with other content.
    """
    folder = settings.folder
    admit(folder)
    found = digest(folder)
    uri = publish(folder, storage.resolve(settings.store), settings.name, settings.model_version)
    return registry.register_candidate(
        settings.name,
        settings.model_version,
        uri=uri,
        digest=found,
        size_bytes=size_bytes(folder),
        license=str(model_card(folder).get("license", "unknown")),
        parameters=parameter_count(folder),
        source={"kind": "folder", "name": settings.source},
        provenance={"source": settings.source, "ingested_at": f"{now():%Y-%m-%dT%H:%M:%SZ}", "ingested_by": getuser()},
    )


def publish(folder: Path, store: str, name: str, version: str) -> str:
    """Copy the folder to `models/<name>/<version>` in the store and return that URI; the manifest is written last.

    The same content again changes nothing; other content under the same version raises InvalidInput.
    """
    uri = f"{store}/models/{name}/{version}"
    sums = manifest(folder)
    if storage.exists(f"{uri}/{MANIFEST}"):
        if storage.get(f"{uri}/{MANIFEST}").decode() != sums:
            raise InvalidInput(
                f"{name} {version} is in the store with other content", do="Give MODEL_VERSION a new value"
            )
        return uri
    for line in sums.splitlines():
        file = line.split("  ", 1)[1]
        storage.put(folder / file, f"{uri}/{file}")
    storage.put(sums.encode(), f"{uri}/{MANIFEST}")
    return uri
