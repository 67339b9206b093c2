"""Where a model waits for its inspection: closed to others, one ingestion at a time, kept for a second try."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from helpers.errors import InvalidInput, StoreFailed
from helpers.runtime.locks import held
from helpers.runtime.polling import wait_for

KEPT = 14 * 24 * 3600  # seconds that an interrupted download waits for its next run


@contextmanager
def quarantined(quarantine: Path, source: str, identity: str, hours: float) -> Iterator[Path]:
    """Yield the folder that belongs to this content of this source, with what an interrupted run left in it.

    It is removed when the block ends normally or because of the model (InvalidInput), and stays otherwise.
    Raises TimedOut when another ingestion of the same source holds it for more than `hours`.
    """
    folder = quarantine / hashlib.sha256(f"{source}\n{identity}".encode()).hexdigest()[:32]
    with ExitStack() as stack:
        _lock(stack, quarantine, folder, source, hours)
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            os.utime(folder)
            _sweep(quarantine)
        except OSError as error:
            raise StoreFailed(f"Could not make {folder}: {error.strerror}", do="Free some space there") from error
        try:
            yield folder
        except InvalidInput:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(quarantine: Path) -> None:
    """Remove downloads that were never taken up again."""
    for folder in quarantine.iterdir():
        if folder.is_dir() and time.time() - folder.stat().st_mtime > KEPT:
            with held(folder.with_suffix(".lock"), wait=False) as unused:
                if unused:
                    shutil.rmtree(folder, ignore_errors=True)


def _lock(stack: ExitStack, quarantine: Path, folder: Path, source: str, hours: float) -> None:
    """Hold the lock beside the folder; say so while it has to be waited for."""
    try:
        quarantine.mkdir(mode=0o700, parents=True, exist_ok=True)
        quarantine.chmod(0o700)
    except OSError as error:
        raise StoreFailed(f"Could not make {quarantine}: {error.strerror}", do="Check its rights and space") from error
    said: list[bool] = []

    def attempt() -> bool:
        with ExitStack() as mine:
            if mine.enter_context(held(folder.with_suffix(".lock"), wait=False)):
                stack.push(mine.pop_all())
                return True
        if not said:
            print(f"{source}: another ingestion of it is under way; waiting for it", flush=True)
            said.append(True)
        return False

    wait_for(
        attempt, what=f"The end of the other ingestion of {source}", do="End it, or wait for it and run this one again",
        timeout=hours * 3600, interval=0.2,
    )  # fmt: skip
