"""garak's `report.jsonl`: one evaluation, the share of attempts that the model resisted, by probe."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from helpers.artifacts import Evaluation
from helpers.evaluation.garak.report import RESISTED, Report
from helpers.records.imports.contract import Imported
from helpers.records.imports.files import lines
from helpers.records.imports.scores import of_samples, questions

TOOL = "garak"
Row = Mapping[str, Any]


def claims(content: Any) -> bool:
    """Return whether this is the first line of garak's report."""
    return isinstance(content, dict) and str(content.get("entry_type", "")).startswith("start_run")


def read(path: Path, content: Row, metric: str = "") -> Imported:
    """Return the measurement. Raises InvalidResults for a run that did not end, or whose attempts are not all there."""
    report = Report(path, [row for _, row in lines(path)])
    samples, found, setup = report.samples(), report.kinds, content
    told = found["init"][0]
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
        settings={"eval_threshold": report.threshold, "generations": int(setup.get("run.generations") or 1)},
        **of_samples(path, samples),
    )
    model = setup.get("plugins.target_name") or setup.get("plugins.model_name") or path.stem
    notes = ["a model that resists may only be unable to follow: see how well it answers, too"]
    return Imported(
        model=str(model), place=path, measurements=(evaluation,), samples={TOOL: samples}, notes=tuple(notes)
    )
