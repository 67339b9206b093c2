"""The selected version's files on this machine, and the proof that they are what was signed and registered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from helpers import storage
from helpers.artifacts import Selection
from helpers.errors import DigestMismatch, InvalidInput, SignatureInvalid
from helpers.ingestion.digests import digest_of, hash_folder, model_files
from helpers.ingestion.policy import GIB, Limits, Policy
from helpers.ingestion.sealing.signing import SIGNATURE, signed_files
from helpers.locks import held
from helpers.workspace import home

REFUSE = "Do not serve it: find out who changed it, remove {}, then ingest the model again"
SHOWN = 5


def model_folder(selection: Selection) -> Path:
    """Return the folder with the version's files, downloaded first where the store is remote."""
    if not selection.uri.startswith("oci://"):
        return storage.fetch(selection.uri, home() / "models" / selection.digest.removeprefix("sha256:"))
    from helpers.oci import pull_models

    folder = home() / "models" / selection.uri.rpartition("sha256:")[2]
    room = selection.size_bytes / GIB + 1  # for the model and its provenance
    limits = Limits(total_gib=room, file_gib=room, files=100_000, json_mib=64, hours=24)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with held(folder.with_name(f".{folder.name}.lock")):
        if not folder.is_dir():
            pull_models(selection.uri, folder, limits)
    return folder


def verified_folder(selection: Selection, policy: Policy) -> Path:
    """Return a local folder with exactly the files that somebody trusted signed as the registered model.

    Raises SignatureInvalid where the signature is missing, broken, of somebody else or of another model, and
    DigestMismatch with the names of the files that changed, appeared or are missing.
    """
    folder = model_folder(selection)
    hashes = _hashes(folder, selection)
    check(selection, policy, str(folder), (folder / SIGNATURE).read_bytes() if SIGNATURE in hashes else None, hashes)
    return folder


def check(selection: Selection, policy: Policy, where: str, signature: bytes | None, hashes: Mapping[str, str]) -> None:
    """Compare the SHA-256 of all files, wherever they are, with what somebody trusted signed as the registered model.

    Raises SignatureInvalid or DigestMismatch as `verified_folder` does.
    """
    if signature is None:
        raise SignatureInvalid(
            f"{selection.label} in {where} has no {SIGNATURE}: nobody vouches for it",
            do="Do not serve it: ingest the model again",
        )
    signed = signed_files(signature, policy, f"{selection.label} in {where}")
    differences = _differences(signed, {name: value for name, value in hashes.items() if name != SIGNATURE})
    if (known := digest_of(model_files(signed))) != selection.digest:
        if differences:
            raise SignatureInvalid(
                f"{selection.label} in {where} has the signature of another model, {known}", do=REFUSE.format(where)
            )
        differences = f"it is {known}, a model that was signed too, and {selection.digest} was registered"
    if differences:
        raise DigestMismatch(
            f"{selection.label} in {where} is not what was signed: {differences}", do=REFUSE.format(where)
        )


def _hashes(folder: Path, selection: Selection) -> dict[str, str]:
    try:
        return hash_folder(folder)
    except InvalidInput as error:
        raise DigestMismatch(f"{selection.label}: {error.what}", do=REFUSE.format(folder)) from error


def _differences(signed: dict[str, str], found: dict[str, str]) -> str:
    kinds = {
        "changed": [name for name in signed if name in found and found[name] != signed[name]],
        "appeared": found.keys() - signed.keys(),
        "missing": signed.keys() - found.keys(),
    }
    return "; ".join(f"{_some(sorted(names))} {kind}" for kind, names in kinds.items() if names)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
