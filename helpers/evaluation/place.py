"""The folder in which a child runs a task: what it is given, where it may write, and what is taken from there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from helpers.artifacts import write_atomic
from helpers.errors import EvaluationFailed
from helpers.evaluation.files import Files
from helpers.evaluation.journal import Journal
from helpers.runtime import sandbox
from helpers.runtime.workspace import ROOT

HUB = ("HF_TOKEN", "HF_TOKEN_PATH", "HUGGING_FACE_HUB_TOKEN")
CACHES = ("HOME", "HF_HOME", "HF_HUB_CACHE", "HF_DATASETS_CACHE", "XDG_CACHE_HOME", "TMPDIR")
PYTHON = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false"}


@dataclass(frozen=True)
class Place:
    """A folder for one call: `left` and `scratch` are the child's, all else is only read by it."""

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> Place:
        """Return the place with its folders."""
        place = cls(folder)
        for path in (place.scratch, place.left):
            path.mkdir()
        return place

    @property
    def left(self) -> Path:
        """Where the child writes what it leaves."""
        return self.folder / "left"

    @property
    def scratch(self) -> Path:
        """The child's home and its caches: the shared ones hold tokens, and rows of an earlier version of a file."""
        return self.folder / "scratch"

    @property
    def fresh(self) -> Path:
        """New answers, one a line."""
        return self.left / "answers.jsonl"

    @property
    def handed(self) -> Path:
        """What the child is told of the task."""
        return self.folder / "task.json"

    def begin(self, folder: Path, names: Files, same: str, known: Path | None) -> None:
        """Hand the child the answers that an earlier attempt left in `folder`; others than `same` are dropped there."""
        with Journal(folder / names.journal, same, known):
            pass
        write_atomic(self.left / names.journal, (folder / names.journal).read_bytes())

    def walled(
        self,
        command: list[str],
        reads: list[Path | str],
        show: Callable[[str], object],
        ports: list[int] | None,
        most: float,
    ) -> list[str]:
        """Return the command behind its wall, from which it connects to `ports` only, with `most` GiB.

        Says what the wall lacks here.
        """
        if lacks := sandbox.lacking():
            show(lacks)
        seen, own = [self.handed, *reads], [self.scratch, self.left]
        return sandbox.walled(command, self.folder, reads=seen, writes=own, ports=ports, most=most)

    def environment(self, *, offline: bool) -> dict[str, str]:
        """Return the variables of a process that runs a task's code."""
        own = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "HF_HOME"), str(self.scratch))
        own |= {"HF_DATASETS_CACHE": str(self.scratch / "datasets"), "HF_TOKEN_PATH": str(self.scratch / "no-token")}
        own |= {"LMEVAL_LOG_LEVEL": "INFO", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}
        own |= dict.fromkeys(("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"), "1") if offline else {}
        return sandbox.allowed() | PYTHON | own

    def take(self, folder: Path, names: Files) -> None:
        """Move what the child left into `folder`. Raises EvaluationFailed where it ended well and left nothing."""
        found = {name: sandbox.read_left(self.left / name) for name in (names.samples, names.results)}
        for name, content in found.items():
            if not content:
                raise EvaluationFailed(
                    f"lm-eval ended without an error and left no {name}",
                    do=f"See {folder / names.log}; code of the task may end the process, correct it",
                )
        for name, content in found.items():
            write_atomic(folder / name, content or b"")


def downloading() -> dict[str, str]:
    """Return the variables of the process that downloads a task's data and runs no code of it: the hub's token too."""
    return sandbox.allowed(*HUB, *CACHES) | PYTHON
