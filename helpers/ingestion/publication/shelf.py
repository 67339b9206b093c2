"""Publication as a folder: everything happens beside the published folder, a rename makes it visible.

Nothing is flushed to the disk: after a power failure a published file may be damaged, which the check before serving
finds and the next publication repairs.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from helpers.errors import InvalidInput, StoreFailed
from helpers.ingestion.digests import PROVENANCE, copy_hashed, hash_folder, model_files
from helpers.ingestion.sealing import Package, is_sealed
from helpers.runtime.locks import held

TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOENT, errno.ENOTDIR)  # another process was faster
ATTEMPTS = 10


def publish_folder(package: Package, target: Path) -> None:
    """Make `target` the sealed model. Raises StoreFailed, or InvalidInput for a file that changed meanwhile."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(ATTEMPTS):
            if _complete(package, target):
                return
    except OSError as error:
        raise StoreFailed(
            f"Could not publish to {target}: {error.strerror}", do="Check the store's space and your rights there"
        ) from error
    raise StoreFailed(f"{target} is not left alone", do="Find out who writes to it, then run this stage again")


def _complete(package: Package, target: Path) -> bool:
    """Move what is missing to its place; False where another process was faster and all is to be looked at again."""
    has_model = _has_model(package, target)
    if has_model and is_sealed(lambda name: (target / name).read_bytes(), package):
        return True
    with _workshop(target.parent) as workshop:
        if has_model:
            new, place = _copy_provenance(package, workshop), target / PROVENANCE
        else:
            new, place = _arrive(package, workshop), target
        try:
            _replace(new, place, workshop / "old")
        except OSError as error:
            if error.errno not in TAKEN:
                raise
            return False
    return True


def _has_model(package: Package, target: Path) -> bool:
    try:
        return target.is_dir() and model_files(hash_folder(target)) == package.sums
    except InvalidInput:
        return False


def _copy_provenance(package: Package, workshop: Path) -> Path:
    return Path(shutil.copytree(package.folder / PROVENANCE, workshop / PROVENANCE))


def _arrive(package: Package, workshop: Path) -> Path:
    """Return the package's folder on the store's file system, itself or a copy, after hashing it once more."""
    if package.folder.stat().st_dev == workshop.stat().st_dev:
        folder, sums = package.folder, hash_folder(package.folder)
    else:
        folder, sums = workshop / "new", copy_hashed(package.folder, workshop / "new")
    if model_files(sums) != package.sums:
        raise InvalidInput(f"{package.folder} changed after it was signed", do="Ingest the model again")
    return folder


def _replace(new: Path, place: Path, old: Path) -> None:
    _read_only(new)
    if place.exists() or place.is_symlink():
        place.rename(old)
    new.rename(place)


def _read_only(folder: Path) -> None:
    for root, _, names in os.walk(folder):
        for name in names:
            Path(root, name).chmod(0o444)


@contextmanager
def _workshop(models: Path) -> Iterator[Path]:
    """Make a folder in the store for what is not visible yet; those of processes that were killed are removed."""
    for lock in models.glob(".work-*.lock"):
        with held(lock, wait=False) as abandoned:
            if abandoned:
                _clear(lock)
    lock = models / f".work-{uuid4().hex}.lock"
    with held(lock):
        try:
            lock.with_suffix("").mkdir()
            yield lock.with_suffix("")
        finally:
            _clear(lock)


def _clear(lock: Path) -> None:
    shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
    lock.unlink(missing_ok=True)
