"""What an artifact is: a small versioned JSON file, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from helpers.artifacts import run
from helpers.errors import ArtifactMissing, InvalidInput, OtherRun, StoreFailed

FOLDER = Path("artifacts")
Parameter = str | int | float | bool
Probability = Annotated[float, Field(ge=0, le=1)]


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def write_atomic(path: Path, data: bytes) -> Path:
    """Write `data` under a temporary name beside `path`, then rename; raise StoreFailed when the disk refuses."""
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise StoreFailed(
            f"Could not write {path}: {error.strerror or error}",
            do="Free some space or choose another folder, then run this stage again",
        ) from error
    return path


class Contract(BaseModel):
    """A frozen part of an artifact; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Artifact(Contract):
    """A file that one stage writes and a later one reads."""

    filename: ClassVar[str]
    written_by: ClassVar[str]
    schema_version: Literal[1, 2] = 1
    run: str = Field(default="", description="id of the run that wrote this file; empty in files of before")

    def write(self, folder: Path = FOLDER) -> Path:
        """Write this artifact into `folder` under its name, marked with the run, and return the path."""
        marked = self.model_copy(update={"run": self._run(folder)})
        return write_atomic(folder / self.file, (marked.model_dump_json(indent=2) + "\n").encode())

    @property
    def file(self) -> str:
        """The name of this artifact's file."""
        return self.filename

    def _run(self, folder: Path) -> str:
        return run.current(folder)

    @classmethod
    def read(cls, folder: Path = FOLDER) -> Self:
        """Read the artifact from `folder`. Raises ArtifactMissing, OtherRun, or InvalidInput where it is malformed."""
        return cls._read(folder, cls.filename)

    @classmethod
    def _read(cls, folder: Path, file: str) -> Self:
        path = folder / file
        try:
            found = cls.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise ArtifactMissing(f"{path} is not there", do=f"Run {cls.written_by} first") from error
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise InvalidInput(f"{path}, field {field}: {first['msg']}", do=f"Run {cls.written_by} again") from error
        if (expected := run.current(folder)) and found.run != expected:
            written = f"run {found.run}" if found.run else "no run that is known"
            raise OtherRun(f"{path} is of {written}, this is run {expected}", do=f"Run {cls.written_by} again")
        return found
