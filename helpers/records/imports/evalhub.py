"""An EvalHub job as its API returns it, or its evaluation card: scores of benchmarks, without answers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from helpers.artifacts import Evaluation, canonical
from helpers.errors import InvalidResults
from helpers.records.imports.contract import Imported
from helpers.records.imports.files import short_name
from helpers.records.imports.scores import CONFIDENCE
from helpers.statistics import wilson

TOOL = "EvalHub"
COUNTS = ("n", "n_samples", "num_samples", "num_examples", "num_examples_evaluated")
LOWER = ("attack_success_rate", "perplexity", "bits_per_byte", "toxicity")  # better where lower
COMPLETED = "completed"
Benchmark = Mapping[str, Any]


def claims(content: Any) -> bool:
    """Return whether this is a job of EvalHub, or a card."""
    results = content.get("results") if isinstance(content, dict) else None
    return isinstance(results, dict) and isinstance(results.get("benchmarks"), list)


def read(path: Path, content: Mapping[str, Any], metric: str = "") -> Imported:
    """Return a measurement of each benchmark whose number of questions is told; the others are noted with their score.

    Raises InvalidResults where the job did not complete, or no benchmark says how many questions it asked.
    """
    about = content.get("context") or content
    model = str((about.get("model") or {}).get("name") or path.stem)
    results = content["results"]
    state = str((content.get("status") or results.get("status") or {}).get("state") or COMPLETED)
    if state != COMPLETED:
        raise InvalidResults(f"{path}: the job is {state}", do="Wait until it has completed")
    asked = {str(each.get("id")): each.get("parameters") or {} for each in about.get("benchmarks") or ()}
    ended = _ended(content)
    found, notes = [], []
    for each in results["benchmarks"]:
        name, value = next(_scores(each, metric), ("", math.nan))
        count = _count(each)
        if count is None or not name:
            told = f"{name} {value:.3f}" if name else "no score from 0 to 1 of which more is better"
            notes.append(f"{each.get('id')}: {told}; how many questions were asked is not told, so it is not compared")
            continue
        found.append(_evaluation(path, each, asked.get(str(each.get("id")), {}), (name, value), count, ended))
    if not found:
        raise InvalidResults(f"{path}: {'; '.join(notes) or 'holds no benchmark'}", do="Give the tool's own results")
    return Imported(model=model, place=path, measurements=tuple(found), notes=tuple(notes))


def _scores(benchmark: Benchmark, wanted: str) -> Iterator[tuple[str, float]]:
    """Yield the metrics that may be a score."""
    for key, value in (benchmark.get("metrics") or {}).items():
        name = str(key).partition(",")[0]
        if "stderr" in name or name in (*LOWER, *COUNTS) or wanted not in ("", name, key):
            continue
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
            yield name, float(value)


def _count(benchmark: Benchmark) -> int | None:
    """Return how many questions were asked, None where nobody says it."""
    for place in ("metrics", "additional_info"):
        told = benchmark.get(place) or {}
        for name in COUNTS:
            if isinstance(told.get(name), int) and told[name] > 0:
                return int(told[name])
    return None


def _evaluation(
    path: Path,
    benchmark: Benchmark,
    asked: Mapping[str, Any],
    score: tuple[str, float],
    count: int,
    ended: datetime,
) -> Evaluation:
    name, value = score
    task = f"{benchmark.get('provider_id')}/{benchmark.get('id')}"
    return Evaluation(
        name=short_name(str(benchmark.get("id"))),
        imported=True,
        task=task,
        metric=name,
        score=value,
        interval=wilson(value * count, count, CONFIDENCE),
        n=count,
        failed=0,
        total=count,
        limit=count if asked.get("limit") or asked.get("num_examples") else 0,
        num_fewshot=int(asked.get("num_fewshot") or 0),
        dataset_digest=canonical.digest({"task": task, "n": count}),
        samples="",
        report=path.name,
        request_seconds=0,
        started=ended,
        ended=ended,
        versions={TOOL: "unknown"},
        settings={"prompt": canonical.digest(dict(asked))},
    )


def _ended(content: Mapping[str, Any]) -> datetime:
    told = content.get("resource") or content.get("metadata") or {}
    text = told.get("updated_at") or told.get("created_at")
    return datetime.fromisoformat(str(text)) if text else datetime.fromtimestamp(0, UTC)
