"""`make run`: two models in, measured, recorded and compared on this machine."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from helpers.artifacts import Record, Selection, write_atomic
from helpers.comparison import Comparison
from helpers.decision import Decision
from helpers.errors import AssayError
from helpers.local import pipelines, stack
from helpers.pipelines import Pipeline
from helpers.pipelines.values import assigned, check_values
from helpers.workspace import ROOT, home

MODELS = ("ops-small", "ops-large")
PIPELINES = ("model-ops", "ai-engineer")


def main() -> int:
    """Run everything and return the exit code: 0 done, 1 a stage failed, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--name", default=datetime.now().strftime("%Y%m%d-%H%M%S"), help="name of the run")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="folder that the run's folder is made in")
    parser.add_argument("words", nargs="*", metavar="NAME=VALUE", help="FRESH=true measures again what is known")
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS, help="which sample models")
    arguments = parser.parse_intermixed_args()
    folder: Path = arguments.runs.resolve() / arguments.name
    started = time.monotonic()
    for stop in (signal.SIGINT, signal.SIGTERM):  # also where a shell started this with interrupts ignored
        signal.signal(stop, signal.default_int_handler)
    try:
        run(folder, arguments.models, assigned(arguments.words))
    except KeyboardInterrupt:
        print(f"\ninterrupted; what was measured so far is kept in {_short(folder)}", file=sys.stderr)
        return 130
    except AssayError as error:
        print(f"\n{type(error).__name__}: {error}", *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return 1
    _report(folder, time.monotonic() - started)
    return 0


def run(folder: Path, models: tuple[str, ...], words: dict[str, str]) -> None:
    """Bring the stack up, run both pipelines for each model, and write summary.json. Raises AssayError."""
    for pipeline in PIPELINES:
        check_values(Pipeline(pipeline), words)
    folder.mkdir(parents=True)
    with _stage("stack", "the local model registry") as say:
        say(stack.up())
    with _stage("samples", "the sample models"):
        from helpers.local.samples import ensure_samples

        ensure_samples(home() / "samples")
    for pipeline in PIPELINES:
        for model in models:
            given = {"SOURCE": f"sample://{model}"} if pipeline == "model-ops" else {"MODEL_NAME": model}
            pipelines.run(pipeline, folder / f"{pipeline}-{model}", words | given, title=f"{pipeline} {model}")
    write_atomic(folder / "summary.json", json.dumps(summarise(folder, models), indent=2).encode())
    _link_latest(folder)


@contextmanager
def _stage(name: str, what: str) -> Iterator[Any]:
    started = time.monotonic()
    details: list[str] = []
    print(f"{name}: {what}", flush=True)
    yield details.append
    print(f"{name}: {' '.join(details) or 'ready'}, {time.monotonic() - started:.1f} s", flush=True)


def _artifacts(folder: Path, pipeline: str, model: str) -> Path:
    return folder / f"{pipeline}-{model}" / "notebooks" / "artifacts"


def summarise(folder: Path, models: tuple[str, ...]) -> dict[str, Any]:
    """Return one entry per model from what the notebooks left in `folder`, and the comparison's verdict."""
    last = _artifacts(folder, "ai-engineer", models[-1])
    comparison = Comparison.read(last)
    verdicts = {row.record_id: row.verdict for row in comparison.standings}
    found = [Record.read(_artifacts(folder, "ai-engineer", model)) for model in models]
    return {
        "run": folder.name,
        "decision": Decision.read(last).sentence,
        "verdict": comparison.verdict,
        "comparison": str(last.parent.relative_to(folder) / "compare_models.html"),
        "report": str(last.relative_to(folder) / "report.html"),
        "models": [_entry(record, verdicts.get(record.record_id, "not compared")) for record in found],
    }


def _entry(record: Record, verdict: str) -> dict[str, Any]:
    selection, evaluation, point = record.selection, record.evaluation, record.sweep.chosen
    return {
        "name": selection.name,
        "version": selection.version,
        "digest": selection.digest,
        "accuracy": {"score": evaluation.score, "n": evaluation.n, **evaluation.interval.model_dump()},
        "operating_point": {
            "reason": record.sweep.operating_point.reason,
            "requests_per_second": point and point.requests_per_second,
            "ttft_p95_ms": point and point.ttft_ms and point.ttft_ms.p95,
            "itl_p95_ms": point and point.itl_ms and point.itl_ms.p95,
            "output_tokens_per_second": point and point.output_tokens_per_second,
        },
        "registry": _ids(selection) | {"record_id": record.record_id},
        "verdict": verdict,
    }


def _ids(selection: Selection) -> dict[str, str]:
    return {
        "address": selection.registry,
        "registered_model_id": selection.registered_model_id,
        "model_version_id": selection.model_version_id,
        "model_artifact_id": selection.model_artifact_id,
    }


def _link_latest(folder: Path) -> None:
    temporary = folder.with_name(f".latest-{os.getpid()}")
    temporary.symlink_to(folder.name)
    temporary.replace(folder.with_name("latest"))


def _report(folder: Path, seconds: float) -> None:
    import pandas as pd

    summary = json.loads((folder / "summary.json").read_text())
    rows = [
        {
            "model": f"{entry['name']} {entry['version']}",
            "accuracy": "{score:.3f} ({low:.3f} to {high:.3f})".format(**entry["accuracy"]),
            "requests/s": entry["operating_point"]["requests_per_second"],
            "TTFT p95, ms": entry["operating_point"]["ttft_p95_ms"],
            "ITL p95, ms": entry["operating_point"]["itl_p95_ms"],
            "output tokens/s": entry["operating_point"]["output_tokens_per_second"],
        }
        for entry in summary["models"]
    ]
    print(f"\n{pd.DataFrame(rows).to_string(index=False, float_format='{:.1f}'.format, na_rep='n/a')}\n")
    print(f"{summary['decision']}\n\n{summary['verdict']}\n")
    print(f"comparison  {_short(folder / summary['comparison'])}")
    print(f"report      {_short(folder / summary['report'])}")
    print(f"summary     {_short(folder / 'summary.json')}")
    print(f"everything  {_short(folder)}, in {seconds:.0f} s")


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    sys.exit(main())
