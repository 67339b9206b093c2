"""`make compile` and `make submit PIPELINE=… RUNTIME=…`: a pipeline's parameters come from the environment."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from helpers.errors import AssayError
from helpers.pipelines import Pipeline, names
from helpers.pipelines.shortcuts import without_grammar
from helpers.workspace import ROOT


def main() -> int:
    """Return the exit code: 0 done, 1 failed, 130 interrupted."""
    arguments = _arguments()
    without_grammar()
    try:
        return _compile(arguments) if arguments.command == "compile" else _submit(arguments)
    except KeyboardInterrupt:
        print("\ninterrupted; a run that was started goes on", file=sys.stderr)
        return 130
    except AssayError as error:
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m helpers.pipelines", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    compiler = commands.add_parser("compile", help="write the pipelines as files that Data Science Pipelines runs")
    compiler.add_argument("pipelines", nargs="*", default=names(), help="all where none is named")
    compiler.add_argument("--out", type=Path, default=ROOT / "build")
    submitter = commands.add_parser("submit", help="start one pipeline on a cluster")
    submitter.add_argument("pipeline")
    submitter.add_argument("--watch", action="store_true", help="follow the run until it ends")
    for command, needed in ((compiler, False), (submitter, True)):
        command.add_argument("--runtime", required=needed, default="", help="Elyra's runtime configuration")
        command.add_argument("--images", default="", help="registry and project that hold the runtime images")
    return parser.parse_args()


def _compile(arguments: argparse.Namespace) -> int:
    from helpers.pipelines.compiling import compile_for, compile_for_reading

    for name in arguments.pipelines:
        pipeline = Pipeline(name)
        if arguments.runtime:
            path = compile_for(arguments.runtime, pipeline, arguments.out, _given(pipeline), arguments.images)
        else:
            path = compile_for_reading(pipeline, arguments.out, _given(pipeline), arguments.images)
        print(f"{path}: {len(pipeline.stages)} stages")
    if not arguments.runtime:
        print("compiled for no cluster, to read and compare; RUNTIME=… compiles for one")
    return 0


def _submit(arguments: argparse.Namespace) -> int:
    from helpers.pipelines import runtimes, submitting, watching

    pipeline = Pipeline(arguments.pipeline)
    run = submitting.submit(arguments.runtime, pipeline, _given(pipeline), arguments.images)
    print(f"run:   {run.url}\nfiles: {run.files}", flush=True)
    if arguments.watch:
        watching.follow(run, pipeline, runtimes.find(arguments.runtime))
    return 0


def _given(pipeline: Pipeline) -> dict[str, str]:
    return {name: os.environ[name] for name in pipeline.parameters if os.environ.get(name)}


if __name__ == "__main__":
    sys.exit(main())
