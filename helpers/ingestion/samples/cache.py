"""The sample models on disk: made once, and again only when something that decides them has changed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from helpers.runtime.locks import held

NOTE = "sample.json"
Say = Callable[[str], None]


class Sample(Protocol):
    """A model that can be made anew at any time; `inputs_digest` changes with whatever decides its files."""

    @property
    def name(self) -> str:
        """Its name after `sample://`."""

    def inputs_digest(self) -> str:
        """Return `sha256:…`."""

    def make(self, folder: Path, say: Say) -> None:
        """Make `folder` and write the files into it; the folder around it is scratch."""

    def model_dump(self) -> dict[str, Any]:
        """Return what decides the files, as JSON."""


def ensure_samples(folder: Path, samples: Sequence[Sample], say: Say = print) -> dict[str, Path]:
    """Return name -> folder of each sample model; makes what is missing or out of date, one process at a time.

    Raises InvalidDataset, SourceUnreachable or DigestMismatch.
    """
    # torch reads this once, when the first sample loads it: threads that spin while they wait make training ten times
    # slower beside another busy process.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder / ".lock"):
        return {sample.name: _ensure(folder, sample, say) for sample in samples}


def _ensure(folder: Path, sample: Sample, say: Say) -> Path:
    target, wanted = folder / sample.name, sample.inputs_digest()
    if _inputs_of(target) == wanted:
        say(f"{sample.name}: up to date")
        return target
    started = time.monotonic()
    scratch = Path(tempfile.mkdtemp(dir=folder, prefix=f".{sample.name}."))
    try:
        sample.make(scratch / "new", say)
        note = json.dumps({"inputs": wanted, **sample.model_dump()}, indent=2)
        (scratch / "new" / NOTE).write_text(note + "\n", encoding="utf-8")
        if target.exists():
            os.replace(target, scratch / "old")
        os.replace(scratch / "new", target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    say(f"{sample.name}: made in {time.monotonic() - started:.0f} s")
    return target


def _inputs_of(target: Path) -> str | None:
    try:
        return str(json.loads((target / NOTE).read_text(encoding="utf-8"))["inputs"])
    except (OSError, ValueError, KeyError):
        return None
