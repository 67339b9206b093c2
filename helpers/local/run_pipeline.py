"""`make pipeline PIPELINE=model-ops SOURCE=… MODEL_NAME=…`: one pipeline, its parameters on the command line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from helpers.analysis.recommendation import Decision
from helpers.artifacts import Record
from helpers.artifacts.observation import Observation
from helpers.errors import AssayError
from helpers.local import pipelines, stack
from helpers.pipelines import Pipeline, names
from helpers.pipelines.values import assigned, check_values, stage_variables
from helpers.runtime import interrupts, runs
from helpers.runtime.workspace import ROOT


def main() -> int:
    """Run the pipeline on a copy under `runs/` and return the exit code: 0 done, 1 failed."""
    parser = argparse.ArgumentParser(prog="make pipeline", description=__doc__)
    parser.add_argument("pipeline", choices=names())
    parser.add_argument("words", nargs="*", metavar="NAME=VALUE", help="a parameter of the pipeline")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="folder that the run's folder is made in")
    arguments = parser.parse_intermixed_args()
    try:
        pipeline = Pipeline(arguments.pipeline)
        further = stage_variables(pipeline)
        words = assigned(arguments.words)
        data = check_values(pipeline, words, further)
        print(*data.notes, sep="\n", end="\n" if data.notes else "", flush=True)
        given = {name: _located(name, value) for name, value in words.items()}
        folder = runs.place(arguments.runs.resolve(), arguments.pipeline, given)
        print(f"registry: {stack.up()}", flush=True)
        notebooks = pipelines.run(arguments.pipeline, folder, given, data=data)
    except AssayError as error:
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(f"\n{headline(notebooks / 'artifacts')}\n")
    last = [stage for stage in pipeline.stages if stage != "remove_deployment"][-1]
    print(f"read {pipelines.short(notebooks / last)}.html")
    return 0


def headline(artifacts: Path) -> str:
    """Return what the pipeline was run for: the recommendation, or whether the model is approved."""
    if (artifacts / Decision.filename).is_file():
        return Decision.read(artifacts).sentence
    if (artifacts / Observation.filename).is_file():
        seen = Observation.read(artifacts)
        fired = ", ".join(dict.fromkeys(each.alert for each in seen.fired)) or "nothing"
        return f"{seen.label} was watched: {fired} fired"
    if not (artifacts / Record.filename).is_file():
        return "done"
    record = Record.read(artifacts)
    if not record.approval:
        return f"{record.selection.label} is measured"
    return f"{record.selection.label} is {record.approval.state}. {'. '.join(record.approval.reasons)}."


def _located(name: str, value: str) -> str:
    """Name a folder from where the user stands: the pipeline runs somewhere else."""
    return str(Path(value).resolve()) if name == "SOURCE" and Path(value).exists() else value


if __name__ == "__main__":
    sys.exit(interrupts.run(main, "nothing was begun yet. The same command begins it"))
