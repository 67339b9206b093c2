"""What a person sees of a run: a line for each stage with its time, and meanwhile what the stage is at."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EVERY = 15.0  # seconds between two lines of a stage
TAIL = 4096  # bytes of a log in which its last line is looked for
WARNING = re.compile(r"^\s\s|\w+Warning: ")  # Python's two lines: the warning, and its line of code, indented


class Watch:
    """Tells how the stages go, from what papermill writes into the notebooks and what the stages print.

    A line when a stage ends, and one every few seconds while it works.
    """

    def __init__(self, stages: Sequence[str], folder: Path) -> None:
        self._notebooks, self._logs = folder / "notebooks", folder / "logs"
        self._pending, self.current = list(stages), ""
        self._said, self._said_at = "", 0.0

    def look(self) -> bool:
        """Say what is new; always False."""
        while self._pending:
            stage = self._pending[0]
            notebook, head = self._notebooks / f"{stage}.ipynb", f"  {stage:<18} "
            state = _papermill(notebook)
            if not state.get("start_time"):
                return False
            if self.current != stage:
                self.current, self._said, self._said_at = stage, "", time.monotonic()
            if not state.get("end_time"):
                self._say_where_it_is(head, last_line(self._logs / f"{stage}.log"))
                return False
            took = f"{state['duration']:.1f} s{' FAILED' if state.get('exception') else ''}"
            print(f"{head}{_subtitle(notebook)}  {took}", flush=True)
            self._pending.pop(0)
        return False

    def failed(self, log: Path) -> str:
        """Return the stage and the last line that Elyra printed of its error."""
        return f"{self.current or 'its preparation'}: {last_line(log) or 'no output'}"

    def _say_where_it_is(self, head: str, said: str) -> None:
        if said and said != self._said and time.monotonic() - self._said_at >= EVERY:
            self._said, self._said_at = said, time.monotonic()
            print(f"{head}… {said}", flush=True)


def last_line(log: Path) -> str:
    """Return the last line of a file that says anything and is no warning of Python's, "" where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip() and not WARNING.search(line)), "")


def _papermill(notebook: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads(notebook.read_text())["metadata"].get("papermill", {})
    except (ValueError, FileNotFoundError):  # caught in the middle of papermill's write, or before it
        return {}
    return state


def _subtitle(notebook: Path) -> str:
    first = "".join(json.loads(notebook.read_text())["cells"][0]["source"])
    return next((line[2:] for line in first.splitlines() if line.startswith("> ")), "")
