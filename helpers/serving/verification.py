"""The proof that a version's files are what was signed and registered, also where they stay in a store.

Of a model in a bucket or in an image every byte passes by and is hashed; only the tokenizer's files are kept here,
because the pod of a stage has no room for the weights and does not need them.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urlparse

from helpers import storage
from helpers.artifacts import Selection, write_atomic
from helpers.artifacts.tokenizer import is_tokenizer_file
from helpers.errors import DigestMismatch, NotFound, SignatureInvalid
from helpers.ingestion.digests import digest_of, model_files
from helpers.ingestion.policy import GIB, Limits, Policy
from helpers.ingestion.sealing.signing import SIGNATURE, signed_files
from helpers.metering import Meter, Refused, refused
from helpers.serving.files import REFUSE, check, verified_folder
from helpers.workspace import home

ROOT = "models/"  # in an image
Kept = dict[str, bytes]


def verified(selection: Selection, policy: Policy) -> Path:
    """Return a folder with the version's tokenizer, once every file of it is known to be the signed one.

    Raises SignatureInvalid, DigestMismatch, NotFound, StoreUnreachable or SourceUnreachable.
    """
    scheme = urlparse(selection.uri).scheme
    if scheme not in ("s3", "oci"):
        return verified_folder(selection, policy)
    hashes, kept = (_read_bucket if scheme == "s3" else _read_image)(selection)
    check(selection, policy, address(selection), kept.pop(SIGNATURE, None), hashes)
    folder = home() / "verified" / selection.digest.removeprefix("sha256:")
    for name, data in kept.items():
        write_atomic(folder / name, data)
    return folder


def address(selection: Selection) -> str:
    """Return where the files are, without what a registry appends to it (`?endpoint=…`)."""
    return selection.uri.partition("?")[0].rstrip("/")


def stamp(selection: Selection) -> dict[str, str]:
    """Return what changes when somebody writes to the files: the ETags in a bucket, nothing for what is immutable."""
    return storage.versions(address(selection)) if selection.uri.startswith("s3://") else {}


def require_unchanged(selection: Selection, before: dict[str, str]) -> None:
    """Raise DigestMismatch where somebody wrote to the bucket between the check and the download by KServe."""
    after = stamp(selection)
    if changed := sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)):
        raise DigestMismatch(
            f"{selection.label}: {changed[0]} in {address(selection)} was written to while the model was deployed",
            do=REFUSE.format(address(selection)),
        )


def _limits(selection: Selection) -> Limits:
    room = selection.size_bytes / GIB + 1  # for the model, its provenance and an image's base
    return Limits(total_gib=room, file_gib=room, files=100_000, json_mib=64, hours=24)


def _wanted(name: str) -> bool:
    return name == SIGNATURE or is_tokenizer_file(name)


def _read_bucket(selection: Selection) -> tuple[dict[str, str], Kept]:
    uri, kept = address(selection), Kept()
    if not (sizes := storage.sizes(uri)):
        raise NotFound(f"{uri} is not in the store", do="Check the address, or ingest the model again")
    meter = Meter(uri, _limits(selection), sum(sizes.values()))

    def hashed(name: str) -> str:
        value, content = hashlib.sha256(), bytearray()
        for data in storage.stream(f"{uri}/{name}"):
            value.update(data)
            meter.add(len(data))
            if _wanted(name):
                content += data
        if _wanted(name):
            kept[name] = bytes(content)
        return value.hexdigest()

    try:
        with ThreadPoolExecutor(2) as threads:
            hashes = dict(zip(sizes, threads.map(hashed, sizes), strict=True))
    except BaseException as error:
        meter.end(error)
        raise
    finally:
        meter.close()
    return hashes, kept


def _read_image(selection: Selection) -> tuple[dict[str, str], Kept]:
    from helpers.ingestion.archives.reading import Reading
    from helpers.oci import Image, Reference, Registry
    from helpers.oci.blob import Blob

    uri, limits = address(selection), _limits(selection)
    reading = Reading(limits, ROOT, _wanted)
    with Registry(Reference.parse(uri)) as registry:
        image = Image(registry)
        meter = Meter(uri, limits, image.size)
        try:
            for layer in image.layers:
                with Blob(registry, layer, meter) as blob:
                    if findings := reading.read(cast("BinaryIO", blob), layer.digest[:19]):
                        raise Refused(uri, *findings)
                    if not blob.complete:
                        problem = f"has other content than {layer.digest} in that layer"
                        raise refused(uri, ".", "digest", problem, "Ask the registry's operator")
        finally:
            meter.close()
    return reading.sums, reading.kept


def tokenizer_of(selection: Selection, policy: Policy) -> Path:
    """Return a folder with the version's tokenizer, of which every file is a signed one; nobody looks at the weights.

    For what is served from elsewhere. Raises as `verified` does.
    """
    if not selection.uri.startswith("s3://"):
        return verified(selection, policy)
    uri, folder = address(selection), home() / "verified" / selection.digest.removeprefix("sha256:")
    signed = signed_files(storage.get(f"{uri}/{SIGNATURE}"), policy, f"{selection.label} in {uri}")
    if (known := digest_of(model_files(signed))) != selection.digest:
        raise SignatureInvalid(
            f"{selection.label} in {uri} has the signature of another model, {known}", do=REFUSE.format(uri)
        )
    for name in (name for name in signed if is_tokenizer_file(name)):
        data = storage.get(f"{uri}/{name}")
        if hashlib.sha256(data).hexdigest() != signed[name]:
            raise DigestMismatch(
                f"{selection.label} in {uri} is not what was signed: {name} changed", do=REFUSE.format(uri)
            )
        write_atomic(folder / name, data)
    return folder
