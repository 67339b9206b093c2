"""The runs of this machine: each is a folder with a `run.json`, which says what it runs and how it stands."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Literal

import psutil
from pydantic import BaseModel, ValidationError

from helpers.artifacts import FOLDER, measurements_in, write_atomic
from helpers.runtime import partial

FILE, LATEST = "run.json", "latest"
State = Literal["running", "done", "failed", "interrupted"]


class Run(BaseModel):
    """One run; `id` is what its files and servers carry, also where it was interrupted and gone on with."""

    kind: str
    given: dict[str, str]
    id: str
    started: datetime
    state: State = "running"
    stage: str = ""
    pid: int = 0
    created: float = 0.0

    @property
    def standing(self) -> State:
        """How it stands now: a run whose process was killed is an interrupted one."""
        return "interrupted" if self.state == "running" and not self._alive() else self.state

    def _alive(self) -> bool:
        try:
            return abs(psutil.Process(self.pid).create_time() - self.created) < 1
        except psutil.NoSuchProcess:
            return False


def read(folder: Path) -> Run | None:
    """Return the run of a folder, None where it has none."""
    try:
        return Run.model_validate_json((folder / FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def of(runs: Path) -> list[tuple[Path, Run]]:
    """Return the runs below a folder, the newest first."""
    folders = [path.parent for path in runs.glob(f"*/{FILE}") if not path.parent.is_symlink()]
    found = [(folder, run) for folder in folders if (run := read(folder))]
    return sorted(found, key=lambda item: item[1].started, reverse=True)


def place(runs: Path, kind: str, given: Mapping[str, str]) -> Path:
    """Return the folder of the newest run of this kind and these values where it did not end well, else a new one."""
    alike = [(folder, run) for folder, run in of(runs) if (run.kind, run.given) == (kind, dict(given))]
    if alike and alike[0][1].standing in ("failed", "interrupted"):
        return alike[0][0]
    name = f"{datetime.now():%Y%m%d-%H%M%S}" + ("" if kind == "run" else f"-{kind}")
    return next(folder for number in count(1) if _taken(folder := runs / (f"{name}-{number}" if number > 1 else name)))


def _taken(folder: Path) -> bool:
    """Take the folder for a new run; return False where another run, of this very second, has it."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return False
    return True


@contextmanager
def begun(folder: Path, kind: str, given: Mapping[str, str], *, latest: bool = True) -> Iterator[Run]:
    """Note in `folder` that a run works there, and in the end how it ended; it keeps the id that it had before.

    `latest` beside the folder points to it from now on, unless it is part of another run.
    """
    me = psutil.Process()
    before, now = read(folder), datetime.now(UTC)
    known = before.id if before else f"{kind}-{now:%Y%m%d%H%M%S}-{secrets.token_hex(3)}"
    run = Run(kind=kind, given=dict(given), id=known, started=now, pid=os.getpid(), created=me.create_time())
    write(folder, run)
    if latest:
        link_latest(folder)
    try:
        yield run
    except KeyboardInterrupt:
        run.state = "interrupted"
        raise
    except BaseException:
        run.state = "failed"
        raise
    else:
        run.state = "done"
    finally:
        write(folder, run)


def write(folder: Path, run: Run) -> None:
    """Write the run's file."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / FILE, run.model_dump_json(indent=2).encode())


def link_latest(folder: Path) -> None:
    """Let `latest` beside a run's folder point to it."""
    temporary = folder.with_name(f".{LATEST}-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(folder.name)
    temporary.replace(folder.with_name(LATEST))


def kept(notebooks: Path) -> list[str]:
    """Return what a run has measured so far, for example "the sweep", "96 answers"."""
    artifacts = notebooks / FOLDER
    return [*measurements_in(artifacts), *partial.kept(artifacts)]


def size(folder: Path) -> int:
    """Return how many bytes a run's files take."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
