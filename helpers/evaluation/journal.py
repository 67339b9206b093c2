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

from helpers.artifacts import write_atomic
from helpers.errors import StoreFailed
from helpers.evaluation.reply import Reply
from helpers.runtime import partial

Row = list[Any]  # name of the question, answer, and whose answer it was where another evaluation's


class Journal:
    """Answers by question, valid for one `fingerprint` (model, engine, tokenizer); a torn line is left out.

    `known` is a file of answers from earlier evaluations, one [name, answer, origin] a line (see records.reuse).
    They are given too, and `taken` counts how many came from each origin. Without it none is, kept ones included.
    New answers go into `fresh` where that is given: the caller, who knows the server, brings them into the journal.
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

    def get(self, method: str, key: Any, turn: int = 0) -> Any:
        """Return the answer, or None; `turn` counts the repeats of one request, which differ where they are sampled."""
        if key is None:
            return None
        name = name_of(method, key, turn)
        if name not in self._rows and name in self._known:
            self._write(self._known[name])
        row = self._rows.get(name)
        if row is None:
            return None
        self.taken.update([row[2]] if row[2] else [])
        return Reply(**row[1]) if isinstance(row[1], dict) else tuple(row[1])

    def add(self, method: str, key: Any, answer: Any, turn: int = 0) -> None:
        """Write the answer down at once; raises StoreFailed when the disk refuses."""
        if key is not None:
            kept = kept_of(answer, answer.facts) if isinstance(answer, Reply) else answer
            self._write([name_of(method, key, turn), kept, ""])

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


def name_of(method: str, key: Any, turn: int = 0) -> str:
    """Name a question: the method, the whole prompt, what is to be scored or how it is to be answered, which sample."""
    sample = [] if greedy(key) else [turn]
    return hashlib.sha256(json.dumps([method, key, *sample], default=str, sort_keys=True).encode()).hexdigest()


def kept_of(text: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Return how a generated answer is kept."""
    return {"text": text, **facts}


def greedy(key: Any) -> bool:
    """Whether asking again gives the same answer; of a sampled one only the same run takes what it has.

    The temperature alone decides: lm-eval drops `do_sample` from what it sends, and sends temperature 0 where none is
    given.
    """
    return not (key is not None and isinstance(key[-1], dict) and key[-1].get("temperature"))
