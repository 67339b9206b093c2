"""`make benchmark`: each figure as one JSON line. `python -m tests.benchmarks NAME …` prints only those named."""

from __future__ import annotations

import sys

from tests.benchmarks import lm_eval_speedup, pipeline_overhead, registry_lookup, whole_runs

FIGURES = {
    "registry_lookup": registry_lookup.main,
    "lm_eval_speedup": lm_eval_speedup.main,
    "pipeline_overhead": pipeline_overhead.main,
    "whole_runs": whole_runs.main,
}

for name in sys.argv[1:] or FIGURES:
    FIGURES[name]()
