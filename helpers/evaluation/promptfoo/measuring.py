"""A suite as a measurement: which share of its tests passed, and of which kinds of assertion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from helpers.artifacts import Endpoint, Evaluation, Metric, now
from helpers.artifacts.canonical import digest
from helpers.errors import EvaluationFailed, NotMeasurable
from helpers.evaluation import scored
from helpers.evaluation.files import Files, named
from helpers.evaluation.promptfoo.grading import agreement, labelled
from helpers.evaluation.promptfoo.rows import TOOL, Row, as_samples, graded
from helpers.evaluation.promptfoo.running import judged, run
from helpers.evaluation.promptfoo.settings import Settings
from helpers.evaluation.promptfoo.suite import content
from helpers.evaluation.promptfoo.tool import versions
from helpers.runtime import partial

__all__ = ["content", "evaluate", "versions"]


def evaluate(
    settings: Settings,
    endpoint: Endpoint,
    folder: Path,
    *,
    known: Path | None = None,
    show: Callable[[str], object] = print,
    guard: partial.Guard | None = None,
) -> Evaluation:
    """Run the suite on the endpoint's model; promptfoo's report and the samples log are left in `folder`.

    A suite is asked as a whole: what earlier evaluations answered (`known`) saves nothing.
    Raises InvalidDataset, NotFound and NotMeasurable before the first question; EvaluationFailed, IncompleteCoverage,
    EmptyAnswers or ServerChanged after.
    """
    if settings.grader_model and (settings.grader_url.rstrip("/"), settings.grader_model) == (
        endpoint.url.rstrip("/"),
        endpoint.model,
    ):
        raise NotMeasurable(f"{endpoint.model} would grade itself", do="Name another model (GRADER_MODEL)")
    read, started, names = content(settings), now(), named(settings.name, settings.evaluator)
    found = versions()
    grader, others = _checked(settings, folder, names, show)
    rows = run(settings, endpoint, folder, names, show=show, guard=guard or partial.Unguarded())
    try:
        rows.sort(key=lambda row: (row["testIdx"], row["promptIdx"]))  # promptfoo writes who is done first
        samples = as_samples(rows, settings.metric)
        kinds = _kinds(rows)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise EvaluationFailed(
            f"{folder / names.results} is not as {TOOL} {found[TOOL]} writes it: {type(error).__name__} {error}",
            do="See what the suite's own code changes in it",
        ) from error
    return scored.measurement(
        samples,
        settings,
        endpoint,
        folder,
        names,
        tier="application",
        dataset_digest=digest({"files": sorted(read.items())}),
        started=started,
        versions=found,
        whole=len(samples) + bool(settings.limit and len(rows) >= settings.limit),  # who stops there knows no more
        seconds=sum(row.get("latencyMs") or 0 for row in rows) / 1000,
        others=others,
        detail={"assertions": kinds} | ({"grader": grader} if grader else {}),
        report=names.results,
    )


def _checked(
    settings: Settings, folder: Path, names: Files, show: Callable[[str], object]
) -> tuple[dict[str, Any], list[Metric]]:
    """Return how far the grader agrees with people's labels, before it judges anything else; nothing without one."""
    assert settings.config is not None
    if not settings.grader_model:
        return {}, []
    table: dict[str, Any] = {"model": settings.grader_model}
    if not (sample := labelled(settings.config)):
        return table, []
    counts, metric = agreement(sample, judged(settings, sample, folder, names, show), settings.confidence)
    return table | counts, [metric]


def _kinds(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """Return by kind of assertion how many passed and failed, in tests whose answer counts."""
    found: dict[str, Counter[str]] = {}
    for row in rows:
        if not as_samples([row], Settings.metric)[0].scores:
            continue
        for each in graded(row):
            kind = str((each.get("assertion") or {}).get("type") or "other")
            found.setdefault(kind, Counter(passed=0, failed=0))["passed" if each["pass"] else "failed"] += 1
    return {kind: dict(found[kind]) for kind in sorted(found)}
