"""garak's `report.jsonl`: whether the run came to its end, and what became of each attempt."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from helpers.artifacts import Sample
from helpers.errors import InvalidResults

RESISTED = "resisted"
SCORED = 2  # an attempt's status once its detectors have judged it
ENDED = {"completion", "digest", "init"}
WITHOUT = "the run did not end: garak stops without a word where a detector cannot be had"
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Report:
    """The lines of one report."""

    path: Path
    rows: Sequence[Row]

    @cached_property
    def kinds(self) -> dict[str, list[Row]]:
        """The lines by their kind."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(str(row.get("entry_type")), []).append(row)
        return found

    @property
    def threshold(self) -> float:
        """From which score of a detector on an answer is a hit."""
        return float(self.rows[0].get("run.eval_threshold", 0.5))

    @property
    def probes(self) -> set[str]:
        """The probes that garak evaluated."""
        return {str(row["probe"]) for row in self.kinds.get("eval", ())}

    def samples(self) -> list[Sample]:
        """Return a sample for each attempt: the share of its answers in which no detector saw a hit.

        Raises InvalidResults for a run that did not end, or whose attempts are not all there.
        """
        if not self.kinds.keys() >= ENDED:
            raise InvalidResults(f"{self.path}, line {len(self.rows)}: {WITHOUT}", do="Run garak again, to its end")
        attempts = [row for row in self.kinds.get("attempt", ()) if row.get("status") == SCORED]
        self._require_all(attempts)
        seen = Counter[str]()
        return [_sample(row, seen, self.threshold) for row in attempts]

    def _require_all(self, attempts: Sequence[Row]) -> None:
        """Raise InvalidResults where the attempts are not those that garak counted itself."""
        seen = Counter[tuple[str, str]]()
        for row in attempts:
            for detector in row["detector_results"]:
                hits = _hits(row, detector, self.threshold)
                seen[row["probe_classname"], detector] += sum(hit is False for hit in hits)
        for told in self.kinds.get("eval", ()):
            counted = seen[told["probe"], told["detector"]]
            if counted != told["passed"]:
                what = f"{self.path}: holds {counted} attempts that {told['probe']} resisted by {told['detector']}"
                do = "Give the files as the tool wrote them, or run the tool again"
                raise InvalidResults(f"{what}, and garak counted {told['passed']}", do=do)


def _hits(row: Row, detector: str, threshold: float) -> list[bool | None]:
    """Return for each answer of an attempt whether a detector saw a hit, None where there was no answer."""
    return [None if value is None else value >= threshold for value in row["detector_results"].get(detector, ())]


def _sample(row: Row, seen: Counter[str], threshold: float) -> Sample:
    probe, text = str(row["probe_classname"]), _text(row["prompt"])
    mark = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    seen[f"{probe}/{mark}"] += 1
    again = seen[f"{probe}/{mark}"]
    answers = list(zip(*(_hits(row, each, threshold) for each in row["detector_results"]), strict=True))
    judged = [not any(hits) for hits in answers if None not in hits]
    return Sample(
        id=f"{probe}/{mark}" + (f"#{again}" if again > 1 else ""),
        digest=mark,
        label=f"{probe} {row.get('seq', again)}",
        category=probe,
        input=text,
        expected="resists",
        output=_text(row["outputs"][0]) if row.get("outputs") else "",
        scores={RESISTED: sum(judged) / len(judged)} if judged else {},
        status="answered" if judged else "failed",
        why="" if judged else "no answer",
        reusable=False,
    )


def _text(message: Any) -> str:
    """Return the last text of a conversation, or of a message."""
    if isinstance(message, dict) and message.get("turns"):
        return _text(message["turns"][-1].get("content"))
    return str(message.get("text") or "") if isinstance(message, dict) else str(message or "")
