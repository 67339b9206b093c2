"""The selected version's files on this machine, and the proof that they are what was signed and registered."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from helpers import storage
from helpers.artifacts import Selection, write_atomic
from helpers.artifacts.tokenizer import is_tokenizer_file
from helpers.errors import DigestMismatch, InvalidInput, NotFound, SignatureInvalid
from helpers.ingestion.digests import digest_of, hash_folder, model_files
from helpers.ingestion.metering import Meter, Refused, refused
from helpers.ingestion.policy import GIB, Limits, Policy
from helpers.ingestion.sealing.signing import SIGNATURE, signed_files
from helpers.runtime.locks import held
from helpers.runtime.workspace import home
from helpers.serving.hardware import has_bfloat16, this_machine
from helpers.serving.settings import Settings

REFUSE = "Do not serve it: find out who changed it, remove {}, then ingest the model again"
SHOWN = 5
SHARE = 0.5  # of the memory, for weights in float32
ROOT = "models/"  # in an image
Kept = dict[str, bytes]


def model_folder(selection: Selection) -> Path:
    """Return the folder with the version's files, downloaded first where the store is remote."""
    if not selection.uri.startswith("oci://"):
        return storage.fetch(selection.uri, home() / "models" / selection.digest.removeprefix("sha256:"))
    from helpers.ingestion.oci import pull_models

    folder = home() / "models" / selection.uri.rpartition("sha256:")[2]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with held(folder.with_name(f".{folder.name}.lock")):
        if not folder.is_dir():
            pull_models(selection.uri, folder, _limits(selection))
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


def fitting(settings: Settings, folder: Path) -> Settings:
    """Return the settings as the model in `folder` is served on this machine, where they leave that open.

    The context is no longer than the model was made for: vLLM refuses to start. A model whose positions are scaled is
    left to vLLM. A CPU that has no instructions for bfloat16 computes in float32.
    """
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    text = config.get("text_config") or config
    rope = text.get("rope_scaling") or text.get("rope_parameters") or {}
    own, scaled = text.get("max_position_embeddings"), rope.get("rope_type", rope.get("type", "default")) != "default"
    if not settings.engine_args and _slow_as_it_is(config, folder):
        print("This CPU has no instructions for bfloat16: vLLM computes in float32")
        settings = settings.model_copy(update={"engine_args": " ".join([*settings.arguments, "--dtype=float32"])})
    if not isinstance(own, int) or scaled or settings.max_model_len <= own:
        return settings
    print(f"The context is the model's own of {own} tokens, less than MAX_MODEL_LEN={settings.max_model_len}")
    return settings.model_copy(update={"max_model_len": own})


def _slow_as_it_is(config: Mapping[str, Any], folder: Path) -> bool:
    """Whether this CPU computes a model in bfloat16 several times slower than in float32, which fits into memory."""
    if has_bfloat16() or config.get("quantization_config"):
        return False
    weights = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    stored = config.get("dtype", config.get("torch_dtype"))
    return bool(stored == "bfloat16" and 2 * weights < SHARE * (this_machine().memory_gib or 0) * GIB)


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
    from helpers.ingestion.archives import Reading
    from helpers.ingestion.oci import Image, Reference, Registry
    from helpers.ingestion.oci.blob import Blob

    uri, limits = address(selection), _limits(selection)
    reading = Reading(limits, ROOT, _wanted)
    with Registry(Reference.parse(uri)) as registry:
        image = Image(registry)
        meter = Meter(uri, limits, image.size)
        try:
            for layer in image.layers:
                with Blob(registry, layer, meter) as blob, io.BufferedReader(blob, 1 << 20) as file:
                    if findings := reading.take_all(file, layer.size, layer.digest[:19]):
                        raise Refused(uri, *findings)
                    if file.read() or not blob.complete:
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
