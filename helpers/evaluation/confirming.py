"""Answers go into the journal when it is known whose they are."""

from __future__ import annotations

import time
from pathlib import Path

from helpers.errors import ServerChanged, StoreFailed
from helpers.evaluation.files import Files
from helpers.runtime import partial
from helpers.runtime.partial import Guard
from helpers.runtime.sandbox import read_left

SECONDS = 5.0  # between two looks at the server


class Confirming:
    """Brings what the child wrote into `fresh` over to the journal in `folder`, each time the guard lets it pass."""

    def __init__(self, guard: Guard, fresh: Path, folder: Path, names: Files) -> None:
        self.guard, self.fresh, self.folder, self.names = guard, fresh, folder, names
        self.done = 0  # bytes
        self.looked = time.monotonic()

    def now_and_then(self) -> None:
        """Look at the server if the last look was long enough ago. Raises as `look`."""
        if time.monotonic() - self.looked >= SECONDS:
            self.look()

    def look(self) -> None:
        """Bring over what was answered up to now. Raises ServerChanged, and withholds what came since the last look."""
        content = read_left(self.fresh, self.done) or b""
        whole = content[: content.rfind(b"\n") + 1]
        try:
            self.guard.check()
        except ServerChanged:
            for name in (self.names.results, self.names.samples):
                (self.folder / name).unlink(missing_ok=True)
            raise
        if whole:
            self._append(whole)
        self.done += len(whole)
        self.looked = time.monotonic()

    def _append(self, lines: bytes) -> None:
        path = self.folder / self.names.journal
        try:
            with path.open("ab") as journal:
                journal.write(lines)
        except OSError as error:
            do = f"Free some space, then {partial.again()}"
            raise StoreFailed(f"Could not write {path}: {error.strerror}", do=do) from error
