"""`make pipeline PIPELINE=model-ops SOURCE=… MODEL_NAME=…`: one pipeline, its parameters on the command line."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from datetime import datetime
from pathlib import Path

from helpers.errors import AssayError
from helpers.local import pipelines, stack
from helpers.pipelines import Pipeline, names
from helpers.pipelines.values import assigned, check_values, stage_variables
from helpers.workspace import ROOT


def main() -> int:
    """Run the pipeline on a copy under `runs/` and return the exit code: 0 done, 1 failed, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="make pipeline", description=__doc__)
    parser.add_argument("pipeline", choices=names())
    parser.add_argument("words", nargs="*", metavar="NAME=VALUE", help="a parameter of the pipeline")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="folder that the run's folder is made in")
    arguments = parser.parse_intermixed_args()
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.default_int_handler)
    folder = arguments.runs.resolve() / f"{datetime.now():%Y%m%d-%H%M%S}-{arguments.pipeline}"
    try:
        pipeline = Pipeline(arguments.pipeline)
        further = stage_variables(pipeline)
        words = assigned(arguments.words)
        check_values(pipeline, words, further)
        given = {name: _located(name, value) for name, value in words.items() if name not in further}
        os.environ.update({name: value for name, value in words.items() if name in further})
        print(f"registry: {stack.up()}", flush=True)
        notebooks = pipelines.run(arguments.pipeline, folder, given)
    except KeyboardInterrupt:
        print(f"\ninterrupted; what was measured so far is kept in {folder}", file=sys.stderr)
        return 130
    except AssayError as error:
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(f"read {notebooks / Pipeline(arguments.pipeline).stages[-1]}.html")
    return 0


def _located(name: str, value: str) -> str:
    """Name a folder from where the user stands: the pipeline runs somewhere else."""
    return str(Path(value).resolve()) if name == "SOURCE" and Path(value).exists() else value


if __name__ == "__main__":
    sys.exit(main())
