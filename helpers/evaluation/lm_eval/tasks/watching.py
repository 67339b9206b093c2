"""What a task's own code uses while it runs: a digest covers the files beside it, and nothing else."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable
from types import FrameType
from typing import Any

from helpers.runtime.workspace import ROOT

NETWORK = {"socket.connect", "socket.getaddrinfo"}
PROGRAMS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"}
WRITING = os.O_WRONLY | os.O_RDWR
SYSTEM = ("/proc/", "/sys/", "/dev/", "/etc/", "/usr/")


class Watch:
    """Notes each file that code of the task opens outside `known`, and each use of the network or another program.

    Audit hooks stay for the life of the process: one watch for each.
    """

    def __init__(self, known: Iterable[str]) -> None:
        self.known = {os.path.realpath(path) for path in known}
        self.code = {path for path in self.known if path.endswith(".py")}
        python = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values()}
        allowed = [*python, os.environ.get("HF_DATASETS_CACHE", ""), str(ROOT / "helpers")]
        self.allowed = (*SYSTEM, *(os.path.realpath(path) + os.sep for path in allowed if path))
        self.own = (
            os.path.realpath(os.getcwd()) + os.sep
        )  # empty where a child begins: what is missing there is nothing
        self.found: dict[str, None] = {}
        if self.code:
            sys.addaudithook(self._hear)

    def _hear(self, event: str, details: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = details
            if (found := self._unknown(path)) and self._by_task():
                if flags & WRITING:
                    self.known.add(found)  # what the code wrote itself is nothing new to read
                else:
                    self.found[found] = None
        elif (event in NETWORK or event in PROGRAMS) and self._by_task():
            self.found["the network" if event in NETWORK else "another program"] = None

    def _unknown(self, path: Any) -> str:
        if not isinstance(path, str | bytes | os.PathLike):
            return ""
        real = os.path.realpath(os.fsdecode(path))
        covered = real in self.known or real.startswith(self.allowed) or real.endswith(".pyc") or os.path.isdir(real)
        missing = real.startswith(self.own) and not os.path.lexists(real)
        return "" if covered or missing else real

    def _by_task(self) -> bool:
        frame: FrameType | None = sys._getframe(2)
        while frame:
            if frame.f_code.co_filename in self.code:
                return True
            frame = frame.f_back
        return False
