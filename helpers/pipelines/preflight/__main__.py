"""`python -m helpers.pipelines.preflight`: check step by step whether a project is ready for the pipelines.

Exit code 0: nothing has to be done. 1: something has. 2: the cluster was not reached, or the check itself failed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext, redirect_stdout
from typing import get_args

from helpers.errors import AssayError, ClusterUnreachable, Forbidden
from helpers.pipelines.preflight import permissions, pipelines, places, serving
from helpers.pipelines.preflight.project import Line, Project, Role, State, fix, note
from helpers.runtime import interrupts, patience

READY, TO_DO, NOT_CHECKED = 0, 1, 2
DO_LOOK = "Run this as an administrator of the project to see it"
Check = Callable[[Project], Iterable[Line]]
CHECKS: dict[str, Check] = {
    "API server": permissions.api_server,
    "project": permissions.namespace,
    "permissions": permissions.permissions,
    "pipeline server": pipelines.pipeline_server,
    "Elyra's runtime": pipelines.elyra_runtime,
    "runtime's secret": pipelines.runtime_secret,
    "store's secret": places.store_secret,
    "signing secret": places.signing_secret,
    "measuring key": places.measuring_secret,
    "endpoint secret": places.endpoint_secret,
    "store": places.store,
    "registry": places.registry,
    "KServe": serving.runtimes,
    "models' store": places.kserve_connection,
    "GPU": serving.gpus,
    "quota": pipelines.quota,
    "images": serving.images,
}


def main(arguments: list[str] | None = None) -> int:
    """Print a line for everything that was checked, as it comes, and return the exit code."""
    given = _parser().parse_args(arguments)
    project = Project(given.namespace, given.registry, given.store, given.runtime, given.role, given.seconds)
    lines = []
    with redirect_stdout(sys.stderr) if given.json else nullcontext():  # who is waited for is told beside the JSON
        for line in run(project):
            lines.append(line)
            if not given.json:
                print(line, flush=True)
    code = NOT_CHECKED if project.connected is None else max((_code(line) for line in lines), default=READY)
    if given.json:
        print(json.dumps({"code": code, "namespace": project.namespace, "lines": [_plain(line) for line in lines]}))
    else:
        print(_sum(lines))
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m helpers.pipelines.preflight",
        description="Check whether a project of OpenShift AI is ready for the pipelines. What is made is removed "
        "again: one small object in the store.",
        epilog="Exit code 0: nothing has to be done; 1: something has; 2: the cluster was not reached.",
    )
    parser.add_argument("--namespace", default="", help="the project (default: the current one)")
    parser.add_argument("--registry", default="auto", help="auto, https://… or service:NAME (default: auto)")
    parser.add_argument("--store", default="auto", help="auto or s3://bucket/prefix (default: auto)")
    parser.add_argument("--runtime", default="odh_dsp", help="Elyra's runtime configuration (default: odh_dsp)")
    roles = get_args(Role)
    parser.add_argument("--role", choices=roles, default=roles[0], help=f"whose project it is (default: {roles[0]})")
    parser.add_argument("--seconds", type=float, default=15, help="how long to wait for what does not answer")
    parser.add_argument("--json", action="store_true", help="print JSON, for machines")
    return parser


def _code(line: Line) -> int:
    return TO_DO if line.state is State.FIX else READY


def _plain(line: Line) -> dict[str, str]:
    return {"check": line.check, "state": str(line.state), "text": line.text, "do": line.do}


def _sum(lines: Iterable[Line]) -> str:
    count = sum(line.state is State.FIX for line in lines)
    return "\nThe project is ready." if not count else f"\n{count} thing{'s' * (count > 1)} to do."


def run(project: Project) -> Iterator[Line]:
    """Make every check and yield its lines as they come."""
    for name, check in CHECKS.items():
        yield from (line._replace(check=name) for line in _made(check, project))


def _made(check: Check, project: Project) -> list[Line]:
    """Make one check, which waits no longer than the user wants to."""
    lines: list[Line] = []
    try:
        with patience.at_most(project.seconds):
            lines.extend(check(project))
    except AssayError as error:
        lines.append(_from(error, project, first=check is permissions.api_server))
    return lines


def _from(error: AssayError, project: Project, *, first: bool) -> Line:
    """Return the line for an error: where only the looking failed, nothing is known to be wrong."""
    if not first and isinstance(error, Forbidden):
        return note(error.what, DO_LOOK)
    if not first and isinstance(error, ClusterUnreachable) and project.connected is None:
        return note(error.what, error.do)
    return fix(error.what, error.do)


def entry() -> None:
    """End the process with the exit code; an error of our own never looks like a verdict."""
    try:
        sys.exit(interrupts.run(main, "the project is as it was. Run the same command again"))
    except Exception as error:
        import traceback

        traceback.print_exc()
        raise SystemExit(NOT_CHECKED) from error


if __name__ == "__main__":
    entry()
