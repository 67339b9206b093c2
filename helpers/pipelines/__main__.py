"""`make compile` and `make submit PIPELINE=… RUNTIME=…`: a pipeline's parameters stand on the command line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from helpers.errors import AssayError, InvalidParameter, PipelinesUnreachable, TimedOut
from helpers.pipelines import Pipeline, names
from helpers.pipelines.values import assigned
from helpers.workspace import ROOT

GOES_ON = 3  # the exit code where a run can be followed no longer


def main() -> int:
    """Return the exit code: 0 done, 1 failed, 3 the run goes on and cannot be followed, 130 interrupted."""
    arguments = _arguments()
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
    compiler.add_argument("words", nargs="*", metavar="PIPELINE | NAME=VALUE", help="all pipelines where none is named")
    compiler.add_argument("--out", type=Path, default=ROOT / "build")
    submitter = commands.add_parser("submit", help="start one pipeline on a cluster")
    submitter.add_argument("pipeline")
    submitter.add_argument("words", nargs="*", metavar="NAME=VALUE", help="a parameter of the pipeline")
    submitter.add_argument("--watch", action="store_true", help="follow the run until it ends")
    for command, needed in ((compiler, False), (submitter, True)):
        command.add_argument("--runtime", required=needed, default="", help="Elyra's runtime configuration")
        command.add_argument("--images", default="", help="registry and project that hold the runtime images")
    return parser.parse_args()


def _compile(arguments: argparse.Namespace) -> int:
    from helpers.pipelines.compiling import compile_for, compile_for_reading

    given = assigned(word for word in arguments.words if "=" in word)
    pipelines = [Pipeline(name) for name in arguments.words if "=" not in name] or [Pipeline(name) for name in names()]
    for pipeline in pipelines if len(pipelines) == 1 else ():
        pipeline.known(given)
    if unknown := sorted(name for name in given if not any(name in pipeline.parameters for pipeline in pipelines)):
        raise InvalidParameter(f"No pipeline has a parameter {', '.join(unknown)}", do="Correct the name")
    for pipeline in pipelines:
        own = {name: value for name, value in given.items() if name in pipeline.parameters}
        if arguments.runtime:
            path = compile_for(arguments.runtime, pipeline, arguments.out, own, arguments.images)
        else:
            path = compile_for_reading(pipeline, arguments.out, own, arguments.images)
        print(f"{path}: {len(pipeline.stages)} stages")
    if not arguments.runtime:
        print("compiled for no cluster, to read and compare; RUNTIME=… compiles for one")
    return 0


def _submit(arguments: argparse.Namespace) -> int:
    from helpers.pipelines import runtimes, submitting, watching

    pipeline = Pipeline(arguments.pipeline)
    run = submitting.submit(arguments.runtime, pipeline, assigned(arguments.words), arguments.images)
    runtime = runtimes.find(arguments.runtime)
    print(f"run:   {run.url}\nfiles: {run.files} in the bucket of {arguments.runtime}", flush=True)
    if not arguments.watch:
        return 0
    try:
        watching.follow(run, pipeline, runtime)
    except (PipelinesUnreachable, TimedOut) as error:
        print(f"\n{type(error).__name__}: {error}\nThe run goes on: {run.url}", file=sys.stderr)
        return GOES_ON
    return 0


if __name__ == "__main__":
    sys.exit(main())
