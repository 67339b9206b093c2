"""garak's `report.jsonl`: one evaluation, the share of attempts that the model resisted, by probe."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from helpers.artifacts import Evaluation, Sample
from helpers.errors import InvalidResults
from helpers.records.imports.contract import Imported
from helpers.records.imports.files import DO, lines
from helpers.records.imports.scores import of_samples, questions

TOOL, RESISTED = "garak", "resisted"
SCORED = 2  # an attempt's status once its detectors have judged it
Row = Mapping[str, Any]
WITHOUT = "the run did not end: garak stops without a word where a detector cannot be had"


def claims(content: Any) -> bool:
    """Return whether this is the first line of garak's report."""
    return isinstance(content, dict) and str(content.get("entry_type", "")).startswith("start_run")


def read(path: Path, content: Row, metric: str = "") -> Imported:
    """Return the measurement. Raises InvalidResults for a run that did not end, or whose attempts are not all there."""
    rows = [row for _, row in lines(path)]
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(str(row.get("entry_type")), []).append(row)
    if not {"completion", "digest", "init"} <= found.keys():
        raise InvalidResults(f"{path}, line {len(rows)}: {WITHOUT}", do="Run garak again, to its end")
    attempts = [row for row in found.get("attempt", ()) if row.get("status") == SCORED]
    setup, told = content, found["init"][0]
    threshold = float(setup.get("run.eval_threshold", 0.5))
    _require_all(path, attempts, found.get("eval", ()), threshold)
    samples = _samples(attempts, threshold)
    started, ended = (
        datetime.fromisoformat(text).replace(tzinfo=UTC)
        for text in (told["start_time"], found["completion"][0]["end_time"])
    )
    evaluation = Evaluation(
        name=TOOL,
        imported=True,
        tier="safety",
        task=TOOL,
        api="chat",
        metric=RESISTED,
        num_fewshot=0,
        dataset_digest=questions(samples),
        samples=f"{TOOL}.samples.jsonl",
        report=path.name,
        request_seconds=(ended - started).total_seconds(),
        started=started,
        ended=ended,
        versions={TOOL: str(told.get("garak_version") or "unknown")},
        settings={"eval_threshold": threshold, "generations": int(setup.get("run.generations") or 1)},
        **of_samples(path, samples),
    )
    model = setup.get("plugins.target_name") or setup.get("plugins.model_name") or path.stem
    notes = ["a model that resists may only be unable to follow: see how well it answers, too"]
    return Imported(
        model=str(model), place=path, measurements=(evaluation,), samples={TOOL: samples}, notes=tuple(notes)
    )


def _hits(row: Row, detector: str, threshold: float) -> list[bool | None]:
    """Return for each answer of an attempt whether a detector saw a hit, None where there was no answer."""
    return [None if value is None else value >= threshold for value in row["detector_results"].get(detector, ())]


def _require_all(path: Path, attempts: Sequence[Row], evals: Sequence[Row], threshold: float) -> None:
    """Raise InvalidResults where the attempts are not those that garak counted itself."""
    seen = Counter[tuple[str, str]]()
    for row in attempts:
        for detector in row["detector_results"]:
            hits = _hits(row, detector, threshold)
            seen[row["probe_classname"], detector] += sum(hit is False for hit in hits)
    for told in evals:
        counted = seen[told["probe"], told["detector"]]
        if counted != told["passed"]:
            what = f"{path}: holds {counted} attempts that {told['probe']} resisted by {told['detector']}"
            raise InvalidResults(f"{what}, and garak counted {told['passed']}", do=DO)


def _samples(attempts: Sequence[Row], threshold: float) -> list[Sample]:
    """Return a sample for each attempt: the share of its answers in which no detector saw a hit."""
    seen, samples = Counter[str](), []
    for row in attempts:
        probe, text = str(row["probe_classname"]), _text(row["prompt"])
        mark = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
        seen[f"{probe}/{mark}"] += 1
        again = seen[f"{probe}/{mark}"]
        answers = list(zip(*(_hits(row, each, threshold) for each in row["detector_results"]), strict=True))
        judged = [not any(hits) for hits in answers if None not in hits]
        samples.append(
            Sample(
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
        )
    return samples


def _text(message: Any) -> str:
    """Return the last text of a conversation, or of a message."""
    if isinstance(message, dict) and message.get("turns"):
        return _text(message["turns"][-1].get("content"))
    return str(message.get("text") or "") if isinstance(message, dict) else str(message or "")
