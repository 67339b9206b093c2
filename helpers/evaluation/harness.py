"""Run lm-eval on one task, as a process of its own: `python -m helpers.evaluation.harness --help`.

The `lm_eval` command needs 13 s of CPU time around one or two seconds of requests, this driver 5 s, with the same
scores: it calls the same `lm_eval.evaluate`, but does not index lm-eval's own thousands of task files for a task that
lies elsewhere, and imports no torch (which the tokenizer and the report on the environment pull in).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import threading
from pathlib import Path
from typing import Any

from helpers.errors import AssayError
from helpers.evaluation import report
from helpers.evaluation.probe import warm_up
from helpers.evaluation.results import JOURNAL

FAILED = 3


def main(arguments: list[str] | None = None) -> int:
    """Measure, print progress, and leave results and samples in the output folder; a failure is one FAILURE line."""
    options = _parser().parse_args(arguments)
    try:
        measure(options)
    except AssayError as error:
        print("FAILURE " + json.dumps({"kind": type(error).__name__, "what": error.what, "do": error.do}), flush=True)
        return FAILED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="helpers.evaluation.harness", description="Score a served model with lm-eval."
    )
    for name in ("task", "model", "url", "tokenizer", "output", "same"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("max-length", "num-fewshot", "limit", "seed", "num-concurrent", "batch-size"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--include-path")
    parser.add_argument("--with-defaults", action="store_true", help="index lm-eval's own tasks too")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds for one request")
    parser.add_argument("--allow-partial", action="store_true")
    parser.add_argument("--known", type=Path, help="answers of earlier evaluations")
    parser.add_argument("--fresh", type=Path, help="where new answers are written, in place of the journal")
    return parser


def measure(options: argparse.Namespace) -> None:
    """Load the task, ask the server, score, write; raises EndpointUnreachable or EvaluationFailed."""
    ready = _Warming(options.url, options.model)
    import lm_eval

    from helpers.evaluation.completions import Completions
    from helpers.evaluation.journal import Journal

    output = Path(options.output)
    tasks = _load(options)
    with Journal(output / JOURNAL, _fingerprint(options), options.known, options.fresh) as journal:
        model = Completions(
            url=options.url,
            tokenizer=Path(options.tokenizer),
            journal=journal,
            workers=options.num_concurrent,
            model=options.model,
            batch_size=options.batch_size,
            max_length=options.max_length,
            seed=options.seed,
            timeout=options.timeout,
        )
        ready.join()
        results: Any = lm_eval.evaluate(
            lm=model, task_dict=tasks, limit=options.limit or None, bootstrap_iters=1000, log_samples=True
        )
        report.write(output, options, results, model, tasks)


class _Warming(threading.Thread):
    """Wakes the server while lm_eval is being imported; `join` raises what went wrong."""

    def __init__(self, url: str, model: str) -> None:
        super().__init__(daemon=True)
        self.url, self.model = url, model
        self.error: AssayError | None = None
        self.start()

    def run(self) -> None:
        try:
            warm_up(self.url, self.model)
        except AssayError as error:
            self.error = error

    def join(self, timeout: float | None = None) -> None:
        super().join(timeout)
        if self.error:
            raise self.error


def _load(options: argparse.Namespace) -> Any:
    """Load the task with its worked examples set, as `lm_eval.simple_evaluate` does."""
    import numpy
    from lm_eval.tasks import TaskManager

    random.seed(options.seed)
    numpy.random.seed(options.seed)
    manager = TaskManager(include_path=options.include_path, include_defaults=options.with_defaults)
    tasks = manager.load([options.task])
    for task in tasks["tasks"].values():
        shots = task.get_config("num_fewshot")
        if options.num_fewshot >= 0 and shots != 0:
            task.set_config(key="num_fewshot", value=options.num_fewshot)
        elif shots is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=options.seed)
    return tasks


def _fingerprint(options: argparse.Namespace) -> str:
    tokenizer = Path(options.tokenizer) / "tokenizer.json"
    content = tokenizer.read_bytes() if tokenizer.is_file() else options.tokenizer.encode()
    return hashlib.sha256(options.same.encode() + content).hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
