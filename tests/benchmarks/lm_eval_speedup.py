"""How much faster the questions are answered than one request at a time, on the same running server.

python -m tests.benchmarks.lm_eval_speedup
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from pathlib import Path

from helpers import serving
from helpers.artifacts import Endpoint
from helpers.evaluation import Settings, evaluate
from helpers.evaluation.results import SAMPLES, read_samples
from helpers.workspace import ROOT
from tests.plugins.models import make_tiny_model, select

REPEATS = 3


def request_seconds(endpoint: Endpoint, folder: Path, **pressure: int) -> tuple[float, dict[int, float]]:
    """Return the seconds of the request phase and the mark of each question."""
    settings = Settings(include_path=ROOT / "datasets" / "ops-assistant", **pressure)
    evaluation = evaluate(settings, endpoint, folder, show=lambda line: None)
    return evaluation.request_seconds, {row["doc_id"]: row["acc"] for row in read_samples(folder / SAMPLES)}


def main() -> None:
    """Print the figure as one line of JSON; the two ways take turns, so that both meet the same machine."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["ASSAY_HOME"] = str(folder / "home")
        endpoint = serving.deploy(select(make_tiny_model(folder / "tiny")), serving.Settings())
        try:
            slow, fast = [], []
            for _ in range(REPEATS):
                slow.append(request_seconds(endpoint, folder / "slow", num_concurrent=1, batch_size=1))
                fast.append(request_seconds(endpoint, folder / "fast"))
        finally:
            serving.remove(endpoint)
    one, ours = (statistics.median(seconds for seconds, _ in runs) for runs in (slow, fast))
    same = all(marks == slow[0][1] for _, marks in slow + fast)
    figure = {"figure": "lm_eval_speedup", "ratio": round(one / ours, 2), "identical_scores": same}
    print(json.dumps(figure | {"one_at_a_time_seconds": round(one, 2), "seconds": round(ours, 2)}))


if __name__ == "__main__":
    main()
