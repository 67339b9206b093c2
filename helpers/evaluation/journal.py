"""What the server has answered so far, one JSON line each, so that a run that broke off goes on where it was.

lm-eval's own response cache names an answer by its prompt alone, so that one model would be given another's answers,
and commits to SQLite for each answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from helpers import partial
from helpers.artifacts import write_atomic
from helpers.errors import StoreFailed

Row = list[Any]  # name of the question, answer, and whose answer it was where another evaluation's


class Journal:
    """Answers by question, valid for one `fingerprint` (model, engine, tokenizer); a torn line is left out.

    `known` is a file of answers from earlier evaluations, one [name, answer, origin] a line (helpers.earlier.answers).
    They are given too, and `taken` counts how many came from each origin. Without it none is, kept ones included.
    New answers go into `fresh` where that is given: whoever knows whose answers they are brings them into the journal.
    """

    def __init__(self, path: Path, fingerprint: str, known: Path | None = None, fresh: Path | None = None) -> None:
        self.path, self.fingerprint = path, fingerprint
        kept = [row for row in self._kept() if known or not row[2]]
        self._rows: dict[str, Row] = {row[0]: row for row in kept}
        lines = known.read_text("utf-8").splitlines() if known else []
        self._known: dict[str, Row] = {row[0]: row for row in map(json.loads, lines)}
        self.taken: Counter[str] = Counter()
        head = {"same": fingerprint}
        write_atomic(path, "".join(f"{json.dumps(item)}\n" for item in (head, *self._rows.values())).encode())
        self._file = (fresh or path).open("a", encoding="utf-8")

    def _kept(self) -> list[Row]:
        if not self.path.exists():
            return []
        rows = []
        for line in self.path.read_text("utf-8", errors="replace").splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return rows[1:] if rows and rows[0] == {"same": self.fingerprint} else []

    def get(self, method: str, key: Any) -> Any:
        """Return the answer, or None."""
        if key is None or not greedy(key):
            return None
        name = name_of(method, key)
        if name not in self._rows and name in self._known:
            self._write(self._known[name])
        row = self._rows.get(name)
        if row is None:
            return None
        self.taken.update([row[2]] if row[2] else [])
        return tuple(row[1]) if isinstance(row[1], list) else row[1]

    def add(self, method: str, key: Any, answer: Any) -> None:
        """Write the answer down at once; raises StoreFailed when the disk refuses."""
        if key is not None:
            self._write([name_of(method, key), answer, ""])

    def _write(self, row: Row) -> None:
        self._rows[row[0]] = row
        try:
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()
        except OSError as error:
            raise StoreFailed(
                f"Could not write {self.path}: {error.strerror}", do=f"Free some space, then {partial.again()}"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # what could not be written is told by `add`
            self._file.close()


def name_of(method: str, key: Any) -> str:
    """Name a question: the method, the whole prompt, and what is to be scored or how it is to be answered."""
    return hashlib.sha256(json.dumps([method, key], default=str, sort_keys=True).encode()).hexdigest()


def greedy(key: Any) -> bool:
    """Whether asking again would give the same answer; a sampled one is asked for again."""
    return not (isinstance(key[-1], dict) and key[-1].get("do_sample"))
