"""lm-eval's log of one task: a line for each question and filter, known by the document's hash."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.artifacts import Sample, Status
from helpers.errors import InvalidResults
from helpers.evaluation.lm_eval.rows import of_row
from helpers.evaluation.lm_eval.scoring import FALLBACK, Measure
from helpers.records.imports.files import DO, as_written, lines

FIELDS = ("doc_id", "doc", "target", "arguments", "filtered_resps", "doc_hash")


@dataclass(frozen=True)
class Log:
    """The rows of each question by its filters, with the line of each."""

    path: Path
    task: str
    questions: Mapping[int, Mapping[str, tuple[int, Mapping[str, Any]]]]
    digest: str

    def scores(self, measure: Measure) -> list[float] | None:
        """Return each question's score, None where one has no number. Raises InvalidResults outside 0 and 1."""
        found = []
        for rows in self.questions.values():
            number, row = rows.get(measure.filter, (0, {}))
            value = row.get(measure.metric)
            if not isinstance(value, int | float):
                return None
            if not 0 <= value <= 1:
                what = f"{self.path}, line {number}: {measure.metric} is {value:g}, outside 0 and 1"
                raise InvalidResults(what, do=f"{DO}, or name another metric (--metric)")
            found.append(float(value))
        return found

    def samples(self, measures: Sequence[Measure], metadata: Mapping[str, Any]) -> Iterator[Sample]:
        """Yield a sample of each question, named by its hash; of the same document twice the second has a number."""
        seen = Counter[str]()
        for _, rows in sorted(self.questions.items()):
            number, row = rows[measures[0].filter]
            seen[row["doc_hash"]] += 1
            repeat = f"#{seen[row['doc_hash']]}" if seen[row["doc_hash"]] > 1 else ""
            field = metadata.get("cluster")
            with as_written(f"{self.path}, line {number}", "lm-eval"):
                cluster = row["doc"].get(field) if isinstance(field, str) else None
                status, why = _status(row)
                plain = [_plain(self.task, each) for _, each in rows.values()]
                sample = of_row(plain, measures, status, why, "" if cluster is None else str(cluster))
            name = f"{self.task}/{row['doc_hash']}{repeat}"
            yield sample.model_copy(update={"id": name, "replies": {}, "reusable": False})


def read(path: Path, task: str) -> Log:
    """Return the log. Raises InvalidResults with file and line of what is missing, cut short or there twice."""
    questions: dict[int, dict[str, tuple[int, Mapping[str, Any]]]] = {}
    hashes = []
    for number, row in lines(path):
        if missing := [field for field in FIELDS if field not in row]:
            raise InvalidResults(f"{path}, line {number}: has no {', '.join(missing)}", do=DO)
        if not isinstance(row["doc_id"], int):
            raise InvalidResults(f"{path}, line {number}: doc_id is no number", do=DO)
        kept = str(row.get("filter", "none"))
        of_question = questions.setdefault(row["doc_id"], {})
        if kept in of_question:
            what = (
                f"{path}, line {number}: question {row['doc_id']} is there twice, first in line {of_question[kept][0]}"
            )
            raise InvalidResults(what, do="Keep one run's lines: lm-eval adds to a file that is there already")
        of_question[kept] = (number, row)
        hashes.append(f"{row['doc_hash']}{row.get('prompt_hash', '')}{row.get('target_hash', '')}")
    if not questions:
        raise InvalidResults(f"{path}: holds no line", do=DO)
    return Log(path, task, questions, hashlib.sha256("".join(hashes).encode()).hexdigest())


def _plain(task: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row as lm-eval has it before it writes it: arguments as lists, an option's number as one."""
    arguments = row["arguments"]
    given = arguments.values() if isinstance(arguments, dict) else arguments
    listed = [list(each.values()) if isinstance(each, dict) else list(each) for each in given]
    target = row["target"]
    chosen = isinstance(target, str) and target.isdigit() and len(listed) > 1
    filtered = row["filtered_resps"]
    if written := not any(
        isinstance(text, str) for each in listed for text in each[1:2]
    ):  # no options, whose likelihoods count
        filtered = [_text(each) for each in filtered]
    return {
        **row,
        "task": task,
        "filter": str(row.get("filter", "none")),
        "arguments": listed,
        "target": int(target) if chosen else target,
        "filtered_resps": filtered,
        "resps": row.get("resps") or [[""]] if written else [],
    }


def _text(answer: Any) -> str:
    """Return what a filter kept of an answer; some keep a list."""
    if isinstance(answer, list):
        return _text(answer[0]) if answer else ""
    return str(answer)


def _status(row: Mapping[str, Any]) -> tuple[Status, str]:
    """Return what became of the question: lm-eval scores a text that is empty as a wrong answer."""
    texts = [text for answers in row.get("resps") or () for text in answers if isinstance(text, str)]
    if texts and not any(text.strip() for text in texts):
        return "empty", "no text"
    answers = row["filtered_resps"]
    return ("unparsed", "") if answers and answers[0] == FALLBACK else ("answered", "")
