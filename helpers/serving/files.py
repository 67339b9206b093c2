"""The selected version's files on this machine, and the proof that they are what was signed and registered."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlparse

from helpers import storage
from helpers.artifacts import Selection, write_atomic
from helpers.artifacts.tokenizer import is_tokenizer_file
from helpers.errors import DigestMismatch, InvalidInput, InvalidParameter, NotFound, SignatureInvalid
from helpers.ingestion.digests import digest_of, hash_folder, model_files
from helpers.ingestion.metering import Meter, Refused, refused
from helpers.ingestion.policy import GIB, Limits, Policy
from helpers.ingestion.sealing import STORED
from helpers.ingestion.sealing.signing import SIGNATURE, signed_files
from helpers.runtime.locks import held
from helpers.runtime.workspace import home
from helpers.serving.hardware import has_bfloat16, this_machine
from helpers.serving.settings import Settings
from helpers.storage import checksums

REFUSE = "Do not serve it: find out who changed it, remove {}, then ingest the model again"
SHOWN = 5
SHARE = 0.5  # of the memory, for weights in float32
ROOT = "models/"  # in an image
BYTES, DIGEST = "every byte", "signed digest"
Kept = dict[str, bytes]
Verify = Literal["digest", "bytes"]


class Verified(NamedTuple):
    """A folder with what was verified, as far as it came here, and how all of it was."""

    folder: Path
    how: str


class Found(NamedTuple):
    """What is in a bucket or an image: the SHA-256 of all files, some files, and why others had to be read."""

    hashes: dict[str, str]
    kept: Kept
    why: str = ""


def model_folder(selection: Selection, policy: Policy) -> Path:
    """Return the folder with the version's files, downloaded first where the store is remote. Raises InvalidInput."""
    check_place(selection)
    if not selection.uri.startswith("oci://"):
        return storage.fetch(selection.uri, home() / "models" / selection.digest.removeprefix("sha256:"))
    from helpers.ingestion.oci import pull_models

    check_image(selection, policy)
    folder = home() / "models" / selection.uri.rpartition("sha256:")[2]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with held(folder.with_name(f".{folder.name}.lock")):
        if not folder.is_dir():
            pull_models(selection.uri, folder, _limits(selection))
    return folder


def check_place(selection: Selection) -> None:
    """Refuse what cannot be read from here and so not verified, such as a cluster's volume. Raises InvalidParameter."""
    if urlparse(selection.uri).scheme not in ("file", "s3", "oci"):
        raise InvalidParameter(
            f"{selection.label} is at {selection.uri}, where its files cannot be read and verified",
            do="Ingest it with MODEL_STORE s3://bucket/prefix, oci://host/repository or file:///folder",
        )


def check_image(selection: Selection, policy: Policy) -> None:
    """Refuse an image without a digest, and one of a registry that the policy does not allow.

    A tag may name another image by the time that it is served. Only what is under /models of an image is signed, and as
    a modelcar the rest of it runs beside the server. Raises InvalidInput.
    """
    from helpers.ingestion.oci import Reference

    image = Reference.parse(address(selection))
    if not image.version.startswith("sha256:"):
        raise InvalidInput(
            f"{selection.label} is {image}, which names no digest: the tag may be moved to another image",
            do="Ingest the model again, or register it as oci://registry/repository@sha256:…",
        )
    if not {(host := image.host), "*"} & set(policy.sources.registries):
        raise InvalidInput(
            f"{selection.label} lies in the registry {host}, which the policy does not allow",
            do="Let the platform team add it to sources.registries of the policy, or ingest the model again",
        )


def verified_folder(selection: Selection, policy: Policy) -> Path:
    """Return a local folder with exactly the files that somebody trusted signed as the registered model.

    Raises SignatureInvalid where the signature is missing, broken, of somebody else or of another model, and
    DigestMismatch with the names of the files that changed, appeared or are missing.
    """
    folder = model_folder(selection, policy)
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
            f"{selection.label} in {where} has no {SIGNATURE}: it is not signed",
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


def verified(selection: Selection, policy: Policy, verify: Verify = "digest") -> Verified:
    """Return a folder with the version's tokenizer, once every file of it is known to be the signed one.

    Of a bucket or an image no weights are read where a signature covers the digest by which the store keeps them;
    with `bytes` all are. Raises SignatureInvalid, DigestMismatch, NotFound, StoreUnreachable or SourceUnreachable.
    """
    scheme = urlparse(selection.uri).scheme
    if scheme not in ("s3", "oci"):
        return Verified(verified_folder(selection, policy), BYTES)
    found = (_look_into_bucket if scheme == "s3" else _look_into_image)(selection, policy, verify)
    check(selection, policy, address(selection), found.kept.get(SIGNATURE), found.hashes)
    how = BYTES if verify == "bytes" else f"{BYTES} of {found.why}" if found.why else DIGEST
    print(f"{selection.label} is what was signed, by {how}", flush=True)
    return Verified(_tokenizer(selection, found.kept), how)


def _tokenizer(selection: Selection, kept: Kept) -> Path:
    folder = home() / "verified" / selection.digest.removeprefix("sha256:")
    for name in filter(is_tokenizer_file, kept):
        write_atomic(folder / name, kept[name])
    return folder


def _signed(selection: Selection, policy: Policy, kept: Kept) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the signed SHA-256 of each file, and by which digests the store keeps some; {} for what is not signed."""
    if SIGNATURE not in kept:
        return {}, {}
    signed = signed_files(kept[SIGNATURE], policy, f"{selection.label} in {address(selection)}")
    stored = kept.get(STORED, b"")
    return signed, json.loads(stored) if hashlib.sha256(stored).hexdigest() == signed.get(STORED) else {}


def address(selection: Selection) -> str:
    """Return where the files are, without what a registry appends to it (`?endpoint=…`)."""
    return selection.uri.partition("?")[0].rstrip("/")


def _limits(selection: Selection) -> Limits:
    room = selection.size_bytes / GIB + 1  # for the model, its provenance and an image's base
    return Limits(total_gib=room, file_gib=room, files=100_000, json_mib=64, hours=24)


def _wanted(name: str) -> bool:
    return name in (SIGNATURE, STORED) or is_tokenizer_file(name)


def _look_into_bucket(selection: Selection, policy: Policy, verify: Verify) -> Found:
    uri = address(selection)
    if not (sizes := storage.sizes(uri)):
        raise NotFound(f"{uri} is not in the store", do="Check the address, or ingest the model again")
    known, why = _known(uri, sizes, selection, policy) if verify == "digest" else ({}, "")
    read = [name for name in sizes if name not in known]
    hashes, kept = _read(uri, read, Meter(uri, _limits(selection), sum(sizes[name] for name in read)))
    return Found(known | hashes, kept, why)


def _known(uri: str, sizes: Mapping[str, int], selection: Selection, policy: Policy) -> tuple[dict[str, str], str]:
    """Return the SHA-256 of the objects that the store keeps by what was signed, and why others are to be read.

    A small object is read in any case: it is as fast, and could be made to have the checksum of a large one's parts.
    """
    kept = {name: storage.get(f"{uri}/{name}") for name in (SIGNATURE, STORED) if name in sizes}
    signed, stored = _signed(selection, policy, kept)
    large = [name for name in sizes if name in signed and sizes[name] > storage.SMALL and not _wanted(name)]
    with ThreadPoolExecutor(8) as threads:
        told = dict(zip(large, threads.map(lambda name: checksums.kept(f"{uri}/{name}"), large), strict=True))
    known = {name: signed[name] for name in large if told[name] == stored.get(name, signed[name])}
    silent = [name for name in large if not told[name]]
    other = [name for name in large if name not in known and told[name]]
    reasons = {"the store keeps no checksum": silent, "the store keeps them by a checksum that is not signed": other}
    return known, "; ".join(f"{_some(names)}: {reason}" for reason, names in reasons.items() if names)


def _read(uri: str, names: Collection[str], meter: Meter) -> tuple[dict[str, str], Kept]:
    kept = Kept()

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
            return dict(zip(names, threads.map(hashed, names), strict=True)), kept
    except BaseException as error:
        meter.end(error)
        raise
    finally:
        meter.close()


def _look_into_image(selection: Selection, policy: Policy, verify: Verify) -> Found:
    """Read the layers of an image except those whose digests are signed: their content cannot differ."""
    from helpers.ingestion.archives import Reading
    from helpers.ingestion.oci import Image, Reference, Registry
    from helpers.ingestion.oci.blob import Blob

    check_image(selection, policy)
    uri, limits = address(selection), _limits(selection)
    reading, read = Reading(limits, ROOT, _wanted), set[str]()
    signed, layers = dict[str, str](), dict[str, Any]()
    with Registry(Reference.parse(uri)) as registry:
        image = Image(registry)
        meter = Meter(uri, limits, image.size)
        try:
            for layer in reversed(image.layers):  # the signature is in the last one
                if verify == "digest" and not signed:
                    signed, layers = _signed(selection, policy, reading.kept)
                names, before = layers.get(layer.digest, ()), set(reading.sums)
                if names and not any(map(is_tokenizer_file, names)):
                    meter.found(layer.size)
                    findings = reading.know({name: signed[name] for name in names})
                else:
                    with Blob(registry, layer, meter) as blob, io.BufferedReader(blob, 1 << 20) as file:
                        findings = reading.take_all(file, layer.size, layer.digest[:19])
                        if not findings and (file.read() or not blob.complete):
                            problem = f"has other content than {layer.digest} in that layer"
                            raise refused(uri, ".", "digest", problem, "Ask the registry's operator")
                    read |= set() if names else reading.sums.keys() - before
                if findings:
                    raise Refused(uri, *findings)
        finally:
            meter.close()
    weights = sorted(name for name in model_files(dict.fromkeys(read, "")) if not _wanted(name))
    return Found(reading.sums, reading.kept, f"{_some(weights)}: no signature covers their layers" if weights else "")


def tokenizer_of(selection: Selection, policy: Policy) -> Path:
    """Return a folder with the version's tokenizer, of which every file is a signed one; the weights are not read.

    For what is served from elsewhere. Raises as `verified` does.
    """
    if not selection.uri.startswith("s3://"):
        return verified(selection, policy).folder
    uri = address(selection)
    kept = {SIGNATURE: storage.get(f"{uri}/{SIGNATURE}")}
    signed, _ = _signed(selection, policy, kept)
    kept |= {name: storage.get(f"{uri}/{name}") for name in signed if is_tokenizer_file(name)}
    read = {name: hashlib.sha256(data).hexdigest() for name, data in kept.items()}
    check(selection, policy, uri, kept[SIGNATURE], signed | read)
    return _tokenizer(selection, kept)
