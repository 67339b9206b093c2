"""`make benchmark`: each figure as one JSON line. `python -m tests.benchmarks NAME …` prints only those named."""

from __future__ import annotations

import contextlib
import json
import sys

from tests.benchmarks import (
    compare_seconds,
    compile_seconds,
    import_seconds,
    ingest_throughput,
    lm_eval_speedup,
    node_start_seconds,
    pipeline_overhead,
    pyramid,
    registry_lookup,
    rerun_speedup,
    truth,
    whole_runs,
)

MEASURED = {
    "registry_lookup": registry_lookup.measure,
    "ingest_throughput": ingest_throughput.measure,
    "compare_seconds": compare_seconds.measure,
    "import_seconds": import_seconds.measure,
    "compile_seconds": compile_seconds.measure,
    "node_start_seconds": node_start_seconds.measure,
    "lm_eval_speedup": lm_eval_speedup.measure,
    "rerun_speedup": rerun_speedup.measure,
    "pipeline_overhead": pipeline_overhead.measure,
    "pyramid": pyramid.measure,
    "truth": truth.measure,
    "whole_runs": whole_runs.measure,
}

for name in sys.argv[1:] or MEASURED:
    with contextlib.redirect_stdout(sys.stderr):  # the stages' own progress
        figures = MEASURED[name]()
    print(*map(json.dumps, figures), sep="\n", flush=True)
