"""Samples as an evaluation's figures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers.artifacts import Sample
from helpers.artifacts.canonical import digest
from helpers.errors import InvalidResults
from helpers.evaluation.samples import clusters
from helpers.statistics import design_effect, mean_of_scores

CONFIDENCE = 0.95


def of_samples(path: Path, samples: Sequence[Sample]) -> dict[str, Any]:
    """Return the score with its interval and the counts. Raises InvalidResults where no answer counts."""
    scored = [sample for sample in samples if sample.scores]
    if not scored:
        raise InvalidResults(f"{path}: none of {len(samples)} answers counts", do="Measure the model again")
    scores, together = [sample.score for sample in scored], clusters(scored)
    statuses = Counter(sample.status for sample in samples)
    yes_or_no = all(score in (0, 1) for score in scores)
    return {
        "score_kind": "proportion" if yes_or_no else "mean",
        "score": math.fsum(scores) / len(scores),
        "interval": mean_of_scores(scores, CONFIDENCE, together),
        "clusters": len(set(together)),
        "design_effect": design_effect(scores, together),
        "correct": round(math.fsum(scores)) if yes_or_no else None,
        "n": len(scores),
        "total": len(samples),
        **{status: statuses[status] for status in ("failed", "empty", "truncated", "unparsed")},
    }


def questions(samples: Sequence[Sample]) -> str:
    """Return a digest over the questions, on whose order nothing depends."""
    return digest({"questions": sorted(f"{sample.id} {sample.digest}" for sample in samples)})
