"""`make check`, `make compile` and `make submit`: a pipeline's parameters stand on the command line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from helpers.datasets.criteria import replaced
from helpers.errors import AssayError, InvalidParameter, PipelinesUnreachable, TimedOut
from helpers.pipelines import Pipeline, names
from helpers.pipelines.values import assigned
from helpers.runtime import interrupts
from helpers.runtime.workspace import ROOT

GOES_ON = 3  # the exit code where a run can be followed no longer


def main() -> int:
    """Return the exit code: 0 done, 1 failed, 3 the run goes on and cannot be followed."""
    arguments = _arguments()
    try:
        return {"compile": _compile, "submit": _submit, "check": _check}[arguments.command](arguments)
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
    checker = commands.add_parser("check", help="read all data and values, say what would be measured and how long")
    checker.add_argument("words", nargs="*", metavar="PIPELINE | NAME=VALUE", help="ai-engineer where none is named")
    for command, needed in ((compiler, False), (submitter, True)):
        command.add_argument("--runtime", required=needed, default="", help="Elyra's runtime configuration")
        command.add_argument("--images", default="", help="registry and project that hold the runtime images")
    return parser.parse_args()


def _check(arguments: argparse.Namespace) -> int:
    from helpers.pipelines import checking

    given = assigned(word for word in arguments.words if "=" in word)
    pipeline = Pipeline(next((word for word in arguments.words if "=" not in word), "ai-engineer"))
    print("\n".join(checking.check(pipeline, given)))
    return 0


def _compile(arguments: argparse.Namespace) -> int:
    from helpers.pipelines.compiling import compile_for, compile_for_reading

    given = assigned(word for word in arguments.words if "=" in word)
    pipelines = [Pipeline(name) for name in arguments.words if "=" not in name] or [Pipeline(name) for name in names()]
    for pipeline in pipelines if len(pipelines) == 1 else ():
        pipeline.known(given)
    unknown = {name: given[name] for name in sorted(given) if not any(name in each.parameters for each in pipelines)}
    if told := list(replaced(unknown)):
        raise InvalidParameter("; ".join(told), do="Leave it out")
    if unknown:
        raise InvalidParameter(f"No pipeline has a parameter {', '.join(unknown)}", do="Correct the name")
    for pipeline in pipelines:
        own = {name: value for name, value in given.items() if name in pipeline.parameters}
        if arguments.runtime:
            path = compile_for(arguments.runtime, pipeline, arguments.out, own, arguments.images)
        else:
            path = compile_for_reading(pipeline, arguments.out, own, arguments.images)
        print(f"{path}: {len(pipeline.stages)} stages")
        if "SOURCE" in pipeline.parameters.keys() - given.keys():
            print(f"  give SOURCE when you start a run: {pipeline.parameters['SOURCE']} is made in workspaces only")
    if not arguments.runtime:
        print("compiled for no cluster, to read and compare; RUNTIME=… compiles for one")
    return 0


def _submit(arguments: argparse.Namespace) -> int:
    from helpers.pipelines import server, submitting, watching

    pipeline = Pipeline(arguments.pipeline)
    given = assigned(arguments.words)
    run = submitting.submit(arguments.runtime, pipeline, given, arguments.images)
    runtime = server.find(arguments.runtime)
    print(f"run:   {run.url}\nfiles: {run.files} in the bucket of {arguments.runtime}", flush=True)
    if not arguments.watch:
        return 0
    try:
        watching.follow(run, pipeline, runtime)
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(f"interrupted; the run goes on: {run.url}") from error
    except (PipelinesUnreachable, TimedOut) as error:
        print(f"\n{type(error).__name__}: {error}\nThe run goes on: {run.url}", file=sys.stderr)
        return GOES_ON
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.run(main, "before it was known that a run was started. Look at the dashboard, or run it again"))
