"""The request phase of the custom task with one request at a time, divided by ours, on the same running server."""

from __future__ import annotations

import tempfile
from pathlib import Path

from helpers.artifacts import Endpoint, Evaluation
from helpers.evaluation import lm_eval
from helpers.runtime.workspace import ROOT
from tests.benchmarks.served import served


def measure() -> list[dict[str, object]]:
    """Return the figure; a run that is not measured warms the server up first."""
    with served("ops-large") as endpoint, tempfile.TemporaryDirectory() as folder:
        _evaluate(endpoint, Path(folder, "warm-up"), limit=20)
        single = _evaluate(endpoint, Path(folder, "single"), num_concurrent=1, batch_size=1)
        ours = _evaluate(endpoint, Path(folder, "ours"))
    figure: dict[str, object] = {
        "figure": "lm_eval_speedup",
        "value": round(single.request_seconds / ours.request_seconds, 2),
        "single_seconds": round(single.request_seconds, 2),
        "our_seconds": round(ours.request_seconds, 2),
        "questions": ours.total,
        "identical_scores": single.score == ours.score,
    }
    return [figure]


def _evaluate(endpoint: Endpoint, folder: Path, **load: int) -> Evaluation:
    settings = lm_eval.Settings(task="ops_assistant", include_path=ROOT / "datasets" / "ops-assistant", **load)
    return lm_eval.evaluate(settings, endpoint, folder, show=lambda line: None)
