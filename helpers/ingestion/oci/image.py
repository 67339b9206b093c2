"""What lies under /models of an image, as KServe would mount it, downloaded layer by layer and unpacked safely."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.ingestion.metering import GIB, Meter, Refused, refused
from helpers.ingestion.oci.manifest import OTHER, Descriptor, Image
from helpers.ingestion.oci.reference import Reference
from helpers.ingestion.oci.registry import Registry
from helpers.ingestion.transfer import download

if TYPE_CHECKING:
    from helpers.ingestion.policy import Limits

ROOT = "models/"


def pull_models(reference: str, folder: Path, limits: Limits, *, work: Path | None = None) -> str:
    """Download what lies under /models of an image to `folder` and return the digest of the image's manifest.

    `folder` must not exist yet, or be empty; it is there only when it is whole. What a killed run left in `work`
    (beside `folder`, by default) is not downloaded again. Nothing of it is trusted: verify it.
    Raises NotFound, SourceUnreachable, StoreFailed, or Refused, which is a RefusedModel, with findings.
    """
    with Registry(Reference.parse(reference)) as registry:
        image = Image(registry)
        work = work or folder.with_name(f".{folder.name}.{image.digest[7:19]}")
        try:
            receive(image, folder, limits, work)
        except Refused:
            shutil.rmtree(work)
            raise
    shutil.rmtree(work)
    return image.digest


def receive(image: Image, folder: Path, limits: Limits, work: Path) -> None:
    """Download and unpack a known image to `folder` by way of `work`, as `pull_models` does; `work` stays."""
    whole = work / "model"
    if not whole.is_dir():
        work.mkdir(mode=0o700, parents=True, exist_ok=True)
        layers = _layers(image, limits, work)
        draft = work / "merging"
        draft.mkdir(exist_ok=True)
        for layer in layers:
            _merge(layer, draft, image.name)
        draft.rename(whole)
    for path in work.iterdir():  # before the last step: what was merged must not be taken for an empty layer
        if path.is_dir() and path != whole:
            shutil.rmtree(path)
    folder.parent.mkdir(parents=True, exist_ok=True)
    whole.rename(folder)


def _layers(image: Image, limits: Limits, work: Path) -> list[Path]:
    meter, done, sizes = Meter(image.name, limits, image.size), [], list[int]()
    try:
        for layer in image.layers:
            left = {"total_gib": (limits.total_bytes - sum(sizes)) / GIB, "files": limits.files - len(sizes)}
            unpacked = partial(_unpack, image.name, limits=limits.model_copy(update=left))
            done.append(_layer(image, layer, work, meter, unpacked))
            sizes += [path.stat().st_size for path in done[-1].rglob("*") if path.is_file()]
    finally:
        meter.close()
    return done


def _layer(image: Image, layer: Descriptor, work: Path, meter: Meter, unpacked: Callable[[Path, Path], None]) -> Path:
    """Return the folder with a layer's files, from an earlier run or now."""
    name = layer.digest.removeprefix("sha256:")
    done, blob = work / name, work / f"{name}.blob"
    if done.is_dir():
        meter.found(layer.size)
        return done
    opened = partial(image.registry.blob, layer.digest)
    for last in (False, True):
        part = work / f"{name}.part"
        if download(opened, blob, part, name=layer.digest[:19], size=layer.size, meter=meter) == name:
            break
        blob.unlink()
        meter.found(-layer.size)
        if last:
            raise refused(image.name, ".", "digest", f"has other content than {layer.digest} in that layer", OTHER)
    unpacked(blob, work / f"{name}.draft")
    (work / f"{name}.draft").rename(done)
    blob.unlink()
    return done


def _unpack(source: str, blob: Path, draft: Path, *, limits: Limits) -> None:
    from helpers.ingestion.archives import unpack

    if draft.exists():
        shutil.rmtree(draft)
    draft.mkdir()
    if findings := unpack(blob, draft, limits, prefix=ROOT):
        raise Refused(source, *findings)


def _merge(layer: Path, whole: Path, source: str) -> None:
    for path in sorted(path for path in layer.rglob("*") if path.is_file()):
        target = whole / path.relative_to(layer)
        with suppress(FileExistsError, NotADirectoryError):
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                path.rename(target)
                continue
        name = path.relative_to(layer).as_posix()
        raise refused(source, name, "archive", "is in two layers", "Build the image with each file in one layer")
