"""The selected version's files on this machine, and the proof that they are what was registered."""

from __future__ import annotations

from pathlib import Path

from helpers import ingestion, storage
from helpers.artifacts import Selection
from helpers.errors import DigestMismatch
from helpers.workspace import home


def model_folder(selection: Selection) -> Path:
    """Return the folder with the version's files, downloaded first where the store is remote."""
    return storage.fetch(selection.uri, home() / "models" / selection.digest.removeprefix("sha256:")[:16])


def verified_folder(selection: Selection) -> Path:
    """Return the folder after hashing it. Raises DigestMismatch when it differs from the registered digest."""
    folder = model_folder(selection)
    if (found := ingestion.digest(folder)) != selection.digest:
        raise DigestMismatch(
            f"{selection.label} at {selection.uri} has digest {found}, and {selection.digest} was registered",
            do="Do not serve it: find out who changed the files, then ingest them again as a new version",
        )
    return folder
