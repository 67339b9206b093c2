"""promptfoo's results (JSON): one evaluation of a suite, each test known by its prompt, variables and assertions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from helpers.artifacts import Evaluation, Sample
from helpers.errors import InvalidResults
from helpers.evaluation.promptfoo.rows import PASSED, SCORE, TOOL, Row, as_samples
from helpers.records.imports.contract import Imported
from helpers.records.imports.files import DO, short_name
from helpers.records.imports.scores import of_samples, questions

COUNTED = ("successes", "failures", "errors")  # of its own figures, together all results


def claims(content: Any) -> bool:
    """Return whether these are promptfoo's results."""
    found = content.get("results") if isinstance(content, dict) else None
    return isinstance(found, dict) and isinstance(found.get("results"), list) and "evalId" in content


def read(path: Path, content: Mapping[str, Any], metric: str = "") -> Imported:
    """Return the suite's measurement; scored by what passed, or by promptfoo's `score`.

    Raises InvalidResults where several providers answered, or a result is not whole.
    """
    rows: Sequence[Row] = content["results"]["results"]
    models = list(dict.fromkeys(_model(row) for row in rows))
    if len(models) != 1:
        told = ", ".join(models) or "none"
        raise InvalidResults(f"{path}: holds answers of {told}", do="Write one file for each (--filter-providers)")
    stats = content["results"].get("stats") or {}
    counted = sum(stats.get(name) or 0 for name in COUNTED)
    if counted and counted != len(rows):
        raise InvalidResults(f"{path}: holds {len(rows)} of the {counted} results that {TOOL} counted", do=DO)
    samples = _samples(path, rows, metric or PASSED)
    started = datetime.fromisoformat(content["results"]["timestamp"])
    seconds = sum(row.get("latencyMs") or 0 for row in rows) / 1000
    suite = str(content.get("config", {}).get("description") or TOOL)
    found = Evaluation(
        name=short_name(suite),
        imported=True,
        tier="application",
        task=suite,
        api="chat",
        metric=metric or PASSED,
        num_fewshot=0,
        dataset_digest=questions(samples),
        samples=f"{short_name(suite)}.samples.jsonl",
        report=path.name,
        request_seconds=seconds,
        started=started,
        ended=started + timedelta(milliseconds=stats.get("durationMs") or 0),
        versions={TOOL: str(content.get("metadata", {}).get("promptfooVersion") or "unknown")},
        settings={},
        **of_samples(path, samples),
    )
    return Imported(model=models[0], place=path, measurements=(found,), samples={found.name: samples})


def _model(row: Row) -> str:
    provider = row.get("provider") or {}
    return str(provider.get("label") or str(provider.get("id", "")).rpartition(":")[2])


def _samples(path: Path, rows: Sequence[Row], metric: str) -> list[Sample]:
    """Return a sample for each test. Raises InvalidResults for another metric, and for a score that is none."""
    if metric not in (PASSED, SCORE):
        raise InvalidResults(f"{path}: has no metric {metric}; its metrics are {PASSED} and {SCORE}", do="Name one")
    for number, row in enumerate(rows, start=1):
        if not 0 <= row["score"] <= 1:
            what = f"{path}, result {number}: score is {row['score']:g}, outside 0 and 1"
            raise InvalidResults(what, do="Give assertions weights that keep it within, or use --metric passed")
    return as_samples(rows, metric)
